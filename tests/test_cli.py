"""The command line: what it prints, and one line with exit code 2 for everything that a user can get wrong."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import command
import models
from command import FORMAT, ONE_THREAD, from_factory, phosphene, ran, saved
from phosphene.core.records import from_plain
from phosphene.method.fidelity import Fidelity
from phosphene.model.checks import CHECKS
from phosphene.recipe.distributions import DISTRIBUTIONS
from phosphene.recipe.geometries import GEOMETRIES
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.runs.make import make_maps
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.scores import Scores
from phosphene.scanner.record import VERDICTS


@pytest.fixture(scope="module")
def colour_file(tmp_path_factory) -> Path:
    return saved(models.colour_net(), tmp_path_factory.mktemp("weights") / "colour.safetensors")


@pytest.fixture
def tiny(colour_file) -> tuple[object, ...]:
    return from_factory(colour_file)


@pytest.fixture
def out(tmp_path) -> tuple[object, ...]:
    return ("--iterations", 3, "--out", tmp_path / "out")


KEYS = {
    "concept",
    "index",
    "path",
    "picture",
    "bare_pictures",
    "passes",
    "seconds",
    "fidelity",
    "fidelity_elsewhere",
    "refined_fidelity",
    "top5",
    "opinions",
    "restarts",
    "checks",
}


def test_json_says_what_was_made(tmp_path, tiny, out):
    result = phosphene("map", "7", "3 - 2", "--json", *out, *tiny)
    assert result.code == 0
    first, second = json.loads(result.out)
    assert set(first) == set(second) == KEYS
    assert (first["concept"], first["index"]) == ("7", 7)
    assert (second["concept"], second["index"]) == ("3 - 2", 3)
    assert set(first["fidelity_elsewhere"]) == {"uniform", "pink", "flat"}
    for fidelity in (first["fidelity"], first["refined_fidelity"], *first["fidelity_elsewhere"].values()):
        assert 0 <= fidelity["probability"] <= 1
        assert 0 <= fidelity["top1"] <= 1
    assert set(first["checks"]) <= set(CHECKS)
    assert first["passes"] >= 3
    saliency = SaliencyMap.load(Path(first["path"]))
    assert saliency.concept == "7"
    assert from_plain(Fidelity, first["fidelity"]) == saliency.scores.fidelity
    assert [guess["index"] for guess in first["top5"]] == [guess.index for guess in saliency.scores.top5]
    assert (first["opinions"], first["restarts"]) == ([], saliency.scores.restarts)
    assert Image.open(first["picture"]).size == (32, 32)
    assert (tmp_path / "out" / "run.json").is_file()


def test_json_names_the_maps_in_the_order_of_the_command_whatever_was_there_before(tiny, out):
    phosphene("map", "5", *out, *tiny)
    result = phosphene("map", "7", "5", "3", "--json", *out, *tiny)
    assert [one["concept"] for one in json.loads(result.out)] == ["7", "5", "3"]


def test_the_command_makes_the_maps_of_the_library(tmp_path, tiny, out):
    phosphene(
        "map", "7", "--seed", 5, "--geometry", "pixel", "--distribution", "pink", "--score", "margin", *out, *tiny
    )
    loaded = SaliencyMap.load(tmp_path / "out" / "7.safetensors")
    expected = replace(
        PRESETS["default"],
        iterations=3,
        seed=5,
        geometry=GEOMETRIES["pixel"](),
        distribution=DISTRIBUTIONS["pink"](),
        score="margin",
    )
    assert Recipe.from_json(loaded.recipe) == expected
    (made,) = make_maps(models.colour_classifier(), ["7"], expected)
    assert torch.equal(made.map, loaded.map)


def test_without_options_the_preset_decides(tmp_path, tiny):
    for preset in ("default", "paper"):
        phosphene("map", "7", "--preset", preset, "--iterations", 2, "--out", tmp_path / preset, *tiny)
        recipe = Recipe.from_json(SaliencyMap.load(tmp_path / preset / "7.safetensors").recipe)
        assert recipe.geometry == PRESETS[preset].geometry
        assert recipe.composition == PRESETS[preset].composition


def test_a_second_run_makes_nothing_anew(tmp_path, tiny, out):
    assert phosphene("map", "7", *out, *tiny).code == 0
    before = command.finished_maps(tmp_path / "out")
    assert phosphene("map", "7", *out, *tiny).code == 0
    assert command.finished_maps(tmp_path / "out") == before


def test_another_recipe_needs_overwrite(tmp_path, tiny, out):
    phosphene("map", "7", *out, *tiny)
    refused = phosphene("map", "7", "--seed", 1, *out, *tiny)
    assert_one_line(refused, "seed", "--overwrite")
    assert phosphene("map", "7", "--seed", 1, "--overwrite", *out, *tiny).code == 0
    assert SaliencyMap.load(tmp_path / "out" / "7.safetensors").recipe["seed"] == 1


def test_gif_writes_the_development(tmp_path, tiny, out):
    assert phosphene("map", "7", "--gif", *out, *tiny).code == 0
    with Image.open(tmp_path / "out" / "7.gif") as animation:
        assert animation.is_animated
        assert animation.n_frames > 1


def test_show_prints_recipe_and_scores(tmp_path, tiny, out):
    phosphene("map", "7", *out, *tiny)
    file = tmp_path / "out" / "7.safetensors"
    shown = json.loads(phosphene("show", file, "--json").out)
    saliency = SaliencyMap.load(file)
    assert shown["recipe"] == saliency.recipe
    assert from_plain(Scores, shown["scores"]) == saliency.scores
    assert shown["index"] == 7
    printed = phosphene("show", file).out
    words = ("concept", "fidelity on uniform", "fidelity refined", "recipe step", saliency.model.fingerprint[:12])
    assert all(word in printed for word in words)
    assert f"probability {saliency.scores.fidelity.probability:.3f}" in printed


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("models", {"efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"}),
        ("distributions", set(DISTRIBUTIONS)),
        ("geometries", set(GEOMETRIES)),
        ("presets", {"default", "fast", "best", "paper"}),
        ("checks", set(CHECKS)),
        ("scores", {"logit", "log_probability", "margin"}),
    ],
)
def test_list_prints_every_choice_with_a_line_about_it(what, expected):
    shown = json.loads(phosphene("list", what, "--json").out)
    assert expected <= set(shown)
    assert all(len(text) > 10 for text in shown.values())
    printed = phosphene("list", what).out
    assert all(name in printed for name in expected)


def test_list_concepts_prints_every_class(tiny):
    shown = json.loads(phosphene("list", "concepts", "--json", *tiny).out)
    assert shown == {str(k): str(k) for k in range(20)}


def test_list_concepts_of_a_named_model():
    assert "goldfish, Carassius auratus" in phosphene("list", "concepts", "efficientnet_lite0").out


def test_report_writes_one_file(tmp_path, tiny, out):
    phosphene("map", "7", *out, *tiny)
    shown = json.loads(phosphene("report", tmp_path / "out", "--json").out)
    assert Path(shown["report"]).is_file()


def test_a_verifier_of_other_classes_is_one_line(tiny, out):
    refused = phosphene("map", "7", "--verifier", "efficientnet_lite0", *out, *tiny)
    assert_one_line(refused, "efficientnet_lite0 cannot verify")


def test_without_json_standard_error_has_a_line_for_each_finished_map(tiny, out):
    result = ran("map", "7", "3", *out, *tiny)
    assert result.code == 0
    assert [line.split(":")[0] for line in result.err.splitlines() if "fidelity" in line] == ["7", "3"]


# Bad input --------------------------------------------------------------------------------------------------------


def assert_one_line(outcome: command.Outcome, *words: str) -> None:
    assert outcome.code == 2, outcome
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.out == ""
    for word in words:
        assert word in outcome.err, outcome.err


def test_an_unknown_class_is_one_line_with_suggestions(out):
    assert_one_line(phosphene("map", "efficientnet_lite0", "goldfsh", *out), "goldfsh", "closest: goldfish", "1000")


def test_index_1000_of_1000_is_one_line(out):
    assert_one_line(phosphene("map", "efficientnet_lite0", "1000", *out), "1000 outputs", "0 to 999")


def test_a_real_process_prints_one_line_and_no_traceback(out):
    assert_one_line(ran("map", "efficientnet_lite0", "goldfsh", *out), "closest: goldfish")


def test_outputs_that_may_be_anything_are_one_line_until_they_are_named(tmp_path, out):
    weights = saved(models.sigmoid_net(), tmp_path / "w.safetensors")
    options = from_factory(weights, "models:sigmoid_net")
    assert_one_line(phosphene("map", "1", *out, *options), "ambiguous-outputs", "--outputs")
    assert_one_line(phosphene("map", "1", *out, *options, "--outputs", "votes"), "expected one of softmax")
    named = phosphene("map", "1", *out, *options, "--outputs", "label-probabilities", "--iterations", "2", "--json")
    assert named.code == 0
    assert json.loads(named.out)[0]["concept"] == "1"


def test_a_model_that_ends_in_a_softmax_is_taken_and_its_check_raised(tmp_path, out):
    weights = saved(models.softmax_net(), tmp_path / "w.safetensors")
    options = (*from_factory(weights, "models:softmax_net"), "--iterations", "2", "--json")
    result = phosphene("map", "1", *out, *options)
    assert result.code == 0
    assert "probabilities" in json.loads(result.out)[0]["checks"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_weights_are_one_line(tmp_path, out, value):
    module = models.colour_net()
    module.body.weight.data[0, 0, 0, 0] = value
    weights = saved(module, tmp_path / "w.safetensors")
    assert_one_line(phosphene("map", "1", *out, *from_factory(weights)), "not-finite", "NaN")


@pytest.mark.parametrize("channels", [1, 4])
def test_a_wrong_channel_count_is_one_line(colour_file, out, channels):
    wrong = ("--size", 32, "--channels", channels, "--mean", 0, "--std", 1)
    refused = phosphene("map", "1", *out, "--weights", colour_file, "--factory", "models:colour_net", *wrong)
    assert_one_line(refused, "wrong-input", "--channels")


def test_the_wrong_channel_count_of_a_named_model_is_one_line(out):
    assert_one_line(phosphene("map", "efficientnet_lite0", "1", "--channels", 1, *out), "--channels")


def test_a_missing_weights_file_is_one_line(tmp_path, out):
    assert_one_line(phosphene("map", "1", *out, *from_factory(tmp_path / "none.pth")), "none.pth", "no weights file")


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_that_is_not_plain_weights_is_one_line_and_its_code_does_not_run(tmp_path, out):
    marker, evil = tmp_path / "marker", tmp_path / "evil.pth"
    torch.save({"state_dict": models.colour_net().state_dict(), "extra": Hostile(marker)}, evil)
    assert_one_line(phosphene("map", "1", *out, *from_factory(evil)), "could run", "--trust-pickle")
    evil.write_bytes(pickle.dumps(Hostile(marker)))
    assert_one_line(phosphene("map", "1", *out, *from_factory(evil)))
    assert not marker.exists()
    pickle.loads(evil.read_bytes())  # the proof is worth something only if the code would have left its mark
    assert marker.exists()


@pytest.mark.parametrize("folder", ["file", "file/out"])
def test_an_unwritable_folder_is_one_line(tmp_path, tiny, folder):
    (tmp_path / "file").write_text("")
    assert_one_line(phosphene("map", "1", "--out", tmp_path / folder, *tiny), "cannot write", "--out")


BAD_MAPS: list[tuple[str, tuple[object, ...], str]] = [
    ("1", ("--preset", "nice"), "expected one of default"),
    ("1", ("--distribution", "pinc"), "pink"),
    ("1", ("--distribution", "folder:/nowhere"), "/nowhere"),
    ("1", ("--geometry", "cubic"), "spectral"),
    ("1", ("--score", "cubic"), "logit"),
    ("1", ("--iterations", 0), "at least 1"),
    ("1", ("--iterations", -5), "at least 1"),
    ("1", ("--samples", 0), "samples"),
    ("1", ("--nudge-steps", 0), "nudge_steps"),
    ("1", ("--verifier", "no_such_model"), "no_such_model"),
    ("", (), "empty concept"),
    ("1 +", (), "1 +"),
    ("-1 * 1", (), "raises nothing"),
    ("@/nowhere", (), "/nowhere"),
    ("20", (), "20 outputs"),
    ("-1", (), "20 outputs"),
    ("1", ("--mean", "grey"), "grey"),
    ("1", ("--mean", "0.5,0.5"), "mean"),
    ("1", ("--std", "0"), "std"),
    ("1", ("--size", -3), "size"),
    ("1", ("--size", 0), "size"),
    ("1", ("--channels", 0), "channels"),
    ("1", ("--labels", "/nowhere"), "/nowhere"),
    ("1", ("--factory", "models"), "package.module:function"),
    ("1", ("--factory", "models:nothing"), "nothing"),
    ("1", ("--factory", "no_such_module:fn"), "no_such_module"),
    ("1", ("--factory", "models:cosine"), "models:cosine"),  # wants arguments
    ("1", ("--factory", "os:getcwd"), "os:getcwd"),  # builds no module
]


@pytest.mark.parametrize(
    ("concept", "options", "word"), BAD_MAPS, ids=[" ".join(map(str, (c, *o))) for c, o, _ in BAD_MAPS]
)
def test_bad_options_are_one_line(tiny, out, concept, options, word):
    assert_one_line(phosphene("map", *out, *tiny, *options, "--", concept), word)


BAD_COMMANDS: list[tuple[tuple[str, ...], str]] = [
    (("map", "no_such_model", "1"), "timm:NAME"),
    (("map", "efficientnet_lite3", "1"), "closest: efficientnet_lite"),
    (("map", "timm:resnett18", "1"), "closest: resnet"),
    (("map", "timm:resnet18.no_such_tag", "1"), "resnet18"),
    (("map", "torchvision:resnet19", "1"), "closest: resnet"),
    (("map", "timm:", "1"), "timm:NAME"),
    (("report", "/nowhere"), "/nowhere"),
    (("show", "/nowhere.safetensors"), "/nowhere.safetensors"),
    (("show", "/"), "cannot read"),
    (("list", "colours"), "geometries"),
    (("list", "concepts"), "MODEL"),
    (("list", "concepts", "no_such_model"), "no_such_model"),
]


@pytest.mark.parametrize(
    ("arguments", "word"), BAD_COMMANDS, ids=[" ".join(arguments) for arguments, _ in BAD_COMMANDS]
)
def test_bad_commands_are_one_line(tmp_path, monkeypatch, arguments, word):
    monkeypatch.chdir(tmp_path)
    assert_one_line(phosphene(*arguments), word)
    assert not list(tmp_path.iterdir())


def test_no_concept_is_one_line(out):
    assert_one_line(phosphene("map", "efficientnet_lite0", *out), "no concept")


def test_a_factory_without_its_format_is_one_line_that_names_what_is_missing(colour_file, out):
    refused = phosphene("map", "1", *out, "--weights", colour_file, "--factory", "models:colour_net", "--size", 32)
    assert_one_line(refused, "--channels", "--mean", "--std")


def test_a_factory_may_bring_its_own_weights(out):
    assert phosphene("map", "1", *out, "--factory", "models:colour_net", *FORMAT).code == 0


def test_labels_of_another_model_are_one_line(tmp_path, tiny, out):
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    assert_one_line(phosphene("map", "1", "--labels", tmp_path / "labels.txt", *out, *tiny), "labels-mismatch", "20")


def test_labels_are_the_names_of_the_classes(tmp_path, tiny, out):
    (tmp_path / "labels.txt").write_text("\n".join(f"thing {k}, object {k}" for k in range(20)))
    result = phosphene("map", "OBJECT 3", "--labels", tmp_path / "labels.txt", "--json", *out, *tiny)
    assert [(made["concept"], made["index"]) for made in json.loads(result.out)] == [("thing 3", 3)]


def test_an_unreadable_file_of_labels_is_one_line(tmp_path, tiny, out):
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    assert_one_line(phosphene("map", "1", "--labels", tmp_path / "labels.txt", *out, *tiny), "labels.txt")


def test_a_damaged_map_is_one_line_when_shown_or_reported(tmp_path, tiny, out):
    phosphene("map", "7", *out, *tiny)
    file = tmp_path / "out" / "7.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert_one_line(phosphene("show", file), "damaged")
    assert_one_line(phosphene("report", tmp_path / "out"), "damaged")


def test_a_report_of_an_empty_folder_is_one_line(tmp_path):
    assert_one_line(phosphene("report", tmp_path), "no finished maps")


# Errors of the program itself -------------------------------------------------------------------------------------

BROKEN = """
import phosphene.model.sources.load as load
from phosphene.cli import main

def fail(*arguments, **options):
    raise ZeroDivisionError("the\\nloader is broken")

load.load = fail
main()
"""


@pytest.mark.parametrize(
    "arguments", [("scan", "efficientnet_lite0"), ("map", "efficientnet_lite0", "1")], ids=" ".join
)
def test_an_internal_error_is_one_line_and_no_exit_code_of_a_verdict(tmp_path, arguments):
    outcome = ran(*arguments, program=BROKEN, env=os.environ | {"PHOSPHENE_TRACEBACK": ""})
    assert outcome.code == 70
    assert outcome.code not in {verdict.exit_code for verdict in VERDICTS.values()}
    (line,) = outcome.err.splitlines()
    assert line.startswith("phosphene: internal error (ZeroDivisionError: the loader is broken); please report it")
    assert outcome.out == ""


def test_an_internal_error_shows_its_traceback_where_it_is_asked_for():
    outcome = ran("scan", "efficientnet_lite0", program=BROKEN, env=os.environ | {"PHOSPHENE_TRACEBACK": "1"})
    assert outcome.code == 70
    assert "Traceback" in outcome.err
    assert "in fail" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("phosphene: internal error")


def test_a_reader_that_closes_the_pipe_is_no_verdict():
    """`phosphene … | head` must not end with 1, which a script that scans takes for an accusation."""
    process = command.started("list", "concepts", "efficientnet_lite0")
    process.stdout.close()
    assert process.wait(timeout=120) == 141
    assert process.stderr.read() == ""


# Workers ----------------------------------------------------------------------------------------------------------


def test_two_workers_make_the_maps_of_this_process_of_a_bundled_model(tmp_path, lite0):
    """Four samples a concept fill a batch, so that each worker has a job."""
    line = ("map", "efficientnet_lite0", "goldfish", "zebra", "--iterations", 2, "--samples", 4, "--restarts", 1)
    outcome = ran(
        *line,
        "--workers",
        2,
        "--out",
        tmp_path / "2",
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert outcome.code == 0, outcome.err
    recipe = replace(PRESETS["default"], iterations=2, samples=4, restarts=1)
    make_maps(lite0, ["goldfish", "zebra"], recipe, out=tmp_path / "1")
    assert_same_maps(tmp_path, "goldfish", "zebra")


NET = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
"""


def test_two_workers_find_the_factory_in_the_users_folder(tmp_path):
    (tmp_path / "my_net.py").write_text(NET)
    namespace: dict = {}
    exec(NET, namespace)
    saved(namespace["build"](), tmp_path / "net.safetensors")
    line = (
        "map",
        "0",
        "1",
        "2",
        "--iterations",
        3,
        "--factory",
        "my_net:build",
        "--weights",
        "net.safetensors",
        *FORMAT,
    )
    for workers in (1, 2):
        outcome = ran(*line, "--workers", workers, "--out", str(workers), cwd=tmp_path, env=ONE_THREAD)
        assert outcome.code == 0, outcome.err
    assert_same_maps(tmp_path, "0", "1", "2")


def assert_same_maps(folder: Path, *names: str) -> None:
    """The maps in `1`, by one worker, are bit for bit those in `2`."""
    for name in names:
        one, two = (SaliencyMap.load(folder / workers / f"{name}.safetensors") for workers in ("1", "2"))
        assert torch.equal(one.map, two.map)
        assert one.scores == two.scores


# Start-up ---------------------------------------------------------------------------------------------------------


def imported_by(arguments: list[str]) -> set[str]:
    program = (
        f"import sys; sys.argv = ['phosphene', *{arguments!r}]\n"
        "from phosphene.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    return set(out.splitlines()[-1].removeprefix("LOADED ").split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["map", "--help"], ["report", "--help"], ["list", "--help"]], ids=" ".join
)
def test_help_waits_for_nothing_heavy(arguments):
    assert not imported_by(arguments) & {
        "torch",
        "torchvision",
        "timm",
        "numpy",
        "PIL",
        "matplotlib",
        "scipy",
        "phosphene.runs.make",
    }


def test_help_names_every_command():
    shown = phosphene("--help").out
    assert all(name in shown for name in ("map", "report", "list", "show"))
