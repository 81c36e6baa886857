"""Hostile hands: nothing lost, nothing overwritten, nothing run, nothing silent. The attacks at length are scripts,
`python -m benchmarks.hostile`; docs/reliability.md has their figures."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import sys
import threading
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks.hostile import bombs, forked
from benchmarks.hostile.fuzz import fuzz
from benchmarks.hostile.kill import attack as kill
from benchmarks.hostile.race import race
from benchmarks.hostile.targets import FAST_SCAN, prepare, tiny_classifier
from torch import nn

from command import FORMAT, from_factory, phosphene, saved
from models import colour_net, linear_classifier
from phosphene.core.files import check_target, clear_leftovers, prepare_folder, write_atomically
from phosphene.core.locks import LOCK_FILE, lock_folder
from phosphene.core.reading import read_file
from phosphene.core.text import make_visible
from phosphene.errors import ArtifactError, BadInput, BadWeights, DamagedArtifact, OtherRecipe, UnsafeWeights
from phosphene.evidence.compare import compare
from phosphene.evidence.members import open_members
from phosphene.evidence.results import FILE_NAME, load_evaluation, make_results
from phosphene.model.sources.factory import factory_source
from phosphene.model.sources.weights import read_weights
from phosphene.recipe.concepts import Classes
from phosphene.recipe.recipe import PRESETS
from phosphene.report import write_report
from phosphene.report.reproduce import format_command
from phosphene.runs import store
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.jobs import Job, run_job
from phosphene.runs.make import make, make_maps
from phosphene.runs.open_models import OpenModels, refer_to
from phosphene.runs.plan import read_plan
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.store import file_stem
from phosphene.scanner.memory import check_memory, estimate_memory
from phosphene.scanner.scanning import scan

QUICK = replace(PRESETS["fast"], iterations=2, restarts=1)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A folder with a good file of every kind."""
    work = tmp_path_factory.mktemp("good")
    prepare(work)
    return work


# What is written


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    """As /dev/full was replaced by a file when root wrote a report to it."""
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    while not received and reader.is_alive():
        try:
            write_atomically(pipe, b"content")
            break
        except ArtifactError:  # the reader has not opened it yet
            continue
    reader.join()
    assert received == [b"content"]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_a_full_device_is_one_line_and_stays_a_device(tmp_path):
    device = tmp_path / "full"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        device.open("wb").close()
    except OSError:
        pytest.skip("devices cannot be made here")
    with pytest.raises(ArtifactError, match="No space left"):
        write_atomically(device, b"content")
    assert stat.S_ISCHR(device.lstat().st_mode)


def test_a_pipe_that_nobody_reads_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArtifactError, match="cannot write"):
        write_atomically(tmp_path / "pipe", b"")


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "socket"])
def test_whatever_is_no_file_is_refused_and_left_alone(tmp_path, kind):
    import socket

    path, target = tmp_path / "out.json", tmp_path / "target"
    target.write_bytes(b"precious")
    if kind == "folder":
        path.mkdir()
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
    else:
        path.symlink_to(target if kind == "link" else tmp_path / "nothing")
    before = path.lstat()
    for check in (check_target, lambda one: write_atomically(one, b"new")):
        with pytest.raises(ArtifactError, match="cannot write"):
            check(path)
    assert (path.lstat().st_ino, target.read_bytes()) == (before.st_ino, b"precious")


def test_a_scan_says_before_it_starts_that_its_report_cannot_be_written(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "else.json")
    outcome = phosphene("scan", "no-such-model", "--report", tmp_path / "link.json")
    assert outcome.code == 2
    assert "symbolic link" in outcome.err


def test_a_folder_is_prepared_by_many_at_once(tmp_path):
    failures = []

    def prepare_often() -> None:
        for _ in range(100):
            try:
                prepare_folder(tmp_path)
            except ArtifactError as error:
                failures.append(error)

    threads = [threading.Thread(target=prepare_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not list(tmp_path.iterdir())


def test_leftovers_go_where_the_number_of_their_process_belongs_to_a_younger_one(tmp_path):
    old, mine = tmp_path / f".phosphene-{os.getppid()}-x.tmp", tmp_path / f".phosphene-{os.getpid()}-y.tmp"
    old.touch()
    mine.touch()
    os.utime(old, (1, 1))
    clear_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]


# Names


def colliding_names() -> tuple[str, str]:
    """Two names without Latin letters that share the 24 bits of version 0.1."""
    seen: dict[str, str] = {}
    for number in range(100_000):
        name = "".join(chr(0x4E00 + int(digit)) for digit in str(number))
        other = seen.setdefault(hashlib.sha256(name.encode()).hexdigest()[:6], name)
        if other != name:
            return other, name
    raise AssertionError


def test_names_that_met_in_one_file_have_two(tmp_path):
    one, other = colliding_names()
    assert file_stem(one, 6) == file_stem(other, 6)
    classifier = tiny_classifier()
    concepts = [Classes((0,), one), Classes((1,), other)]
    maps = make_maps(classifier, concepts, QUICK, out=tmp_path)
    assert [saliency.concept for saliency in maps] == [one, other]
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_names_that_would_still_meet_are_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "file_stem", lambda concept, digits=16: "same")
    with pytest.raises(BadInput, match="same file"):
        make_maps(tiny_classifier(), ["ant", "bee"], QUICK, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_map_under_the_shorter_name_of_an_earlier_version_is_kept(tmp_path):
    classifier, concept = tiny_classifier(), Classes((0,), "蚂蚁")
    [saliency] = make_maps(classifier, [concept], QUICK)
    old = tmp_path / f"{file_stem(concept.name, 6)}.safetensors"
    saliency.save(old)
    content = old.read_bytes()
    make_maps(classifier, [concept], QUICK, out=tmp_path)
    assert [path.read_bytes() for path in tmp_path.glob("*.safetensors")] == [content]


# Two runs in one folder


def test_a_second_run_of_another_seed_is_refused_while_the_first_is_writing(tmp_path):
    classifier = tiny_classifier()
    first = make(classifier, ["ant", "bee"], QUICK, tmp_path)
    next(first)
    with pytest.raises(OtherRecipe, match="another run"):
        make_maps(classifier, ["ant", "bee"], replace(QUICK, seed=1), out=tmp_path)
    list(first)
    assert all(SaliencyMap.load(path).recipe["seed"] == 0 for path in tmp_path.glob("*.safetensors"))


def test_an_equal_second_run_waits_and_says_for_whom_and_shares_what_is_finished(tmp_path):
    classifier, said = tiny_classifier(), []
    first = make(classifier, ["ant", "bee"], QUICK, tmp_path)
    next(first)
    before = (tmp_path / "ant.safetensors").stat().st_ino

    def wait(sentence: str) -> None:
        said.append(sentence)
        first.close()

    make_maps(classifier, ["ant", "bee"], QUICK, out=tmp_path, callbacks=Callbacks(on_warning=wait))
    assert len(said) == 1
    assert f"process {os.getpid()}" in said[0]
    assert (tmp_path / "ant.safetensors").stat().st_ino == before
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_map_that_a_stranger_has_put_there_meanwhile_is_not_overwritten(tmp_path):
    classifier, models = tiny_classifier(), OpenModels()
    model = models.add(refer_to(classifier, tmp_path), classifier)
    make_maps(classifier, ["ant"], replace(QUICK, seed=5), out=tmp_path)
    content = (tmp_path / "ant.safetensors").read_bytes()
    with pytest.raises(OtherRecipe):
        run_job(Job(model, (), (Classes((0,), "ant"),), QUICK, tmp_path, 4), models)
    assert (tmp_path / "ant.safetensors").read_bytes() == content


def test_the_lock_of_a_killed_process_does_not_last(tmp_path):
    (tmp_path / LOCK_FILE).write_text('{"pid": 1, "host": "x", "started": "y"}\n')
    said: list[str] = []
    with lock_folder(tmp_path, said.append):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert not said
    assert not list(tmp_path.iterdir())


# What is read


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large", "growing"])
def test_what_is_no_file_of_its_kind_is_refused_without_being_read(tmp_path, kind, monkeypatch):
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(10 << 30)
    else:
        path.write_bytes(b"x" * 2000)
        status = os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, 10, 0, 0, 0))
        monkeypatch.setattr(os, "fstat", lambda descriptor: status)
    with pytest.raises(OSError, match=r"not a regular file|larger"):
        read_file(path, 1000)


@pytest.mark.parametrize("option", ["labels", "set", "calibration", "report", "show", "weights", "compare"])
def test_every_option_that_names_a_file_refuses_a_pipe_in_one_line(tmp_path, option, good):
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    source = from_factory(saved(colour_net(), tmp_path / "w.safetensors"))
    commands = {
        "labels": ("list", "concepts", *source, "--labels", pipe),
        "set": ("map", f"@{pipe}", "--out", tmp_path / "out", *source),
        "calibration": ("scan", *source, "--calibration", pipe),
        "report": ("report", pipe),
        "show": ("show", pipe),
        "weights": ("list", "concepts", *from_factory(pipe)),
        "compare": ("compare", pipe, pipe),
    }
    outcome = phosphene(*commands[option])
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1), outcome


def test_compressed_weights_are_refused_before_they_are_unpacked(tmp_path):
    bombs.write_compressed_weights(tmp_path / "bomb.pt", 20_000_000)
    with pytest.raises(BadWeights, match="compressed"):
        read_weights(tmp_path / "bomb.pt")


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_that_declare_more_than_they_have_are_refused(tmp_path, legacy):
    bombs.write_lying_weights(tmp_path / "lie.pt", 2_000_000_000, legacy=legacy)
    with pytest.raises(BadWeights):
        read_weights(tmp_path / "lie.pt")


@pytest.mark.parametrize("head", [b"{", b"\0"])
def test_a_large_file_that_is_no_pickle_is_not_read_through(tmp_path, head, monkeypatch):
    bombs.write_sparse(tmp_path / "w.pt", 1 << 30, head)
    monkeypatch.setattr("phosphene.model.sources.declared.CHUNK", 1)  # reading it would take hours
    with pytest.raises(BadWeights):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_that_asks_for_bytes_by_their_number_is_refused(tmp_path, zipped, monkeypatch):
    bombs.write_calling_weights(tmp_path / "w.pt", bytearray, 1000)
    if zipped:
        torch.save({"w": bytearray(1000)}, tmp_path / "w.pt")
    monkeypatch.setattr("torch.load", lambda *arguments, **options: pytest.fail("it was loaded"))
    with pytest.raises(BadWeights, match="bytearray"):
        read_weights(tmp_path / "w.pt")


def test_a_flipped_bit_in_a_torch_file_is_noticed(tmp_path):
    torch.save({"w": torch.arange(1000.0)}, tmp_path / "w.pt")
    content = bytearray((tmp_path / "w.pt").read_bytes())
    place = content.index(torch.arange(1000.0).numpy().tobytes()) + 1234
    content[place] ^= 4
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(BadWeights, match="damaged"):
        read_weights(tmp_path / "w.pt")


ODD_TENSORS = {
    "meta": lambda: torch.zeros(3, device="meta"),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "sparse rows": lambda: torch.eye(3).to_sparse_csr(),
    "quantised": lambda: torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8),
    "nested": lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD_TENSORS)
def test_tensors_without_plain_numbers_are_bad_weights(tmp_path, kind):
    torch.save({"0.weight": ODD_TENSORS[kind]()}, tmp_path / "w.pt")
    with pytest.raises((BadWeights, UnsafeWeights)):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("content", ["9" * 5000, "\x1b[2J", "@" * 100, "0.5 * " * 500])
def test_a_strange_line_of_a_set_is_one_line(tmp_path, content, good):
    (tmp_path / "set.txt").write_text(f"{content}\n")
    outcome = phosphene(
        "map",
        f"@{tmp_path / 'set.txt'}",
        "--out",
        tmp_path,
        *from_factory(saved(colour_net(), tmp_path / "w.safetensors")),
    )
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert "\x1b" not in outcome.err


def test_a_changed_score_in_evidence_is_noticed(tmp_path, good):
    import shutil

    folder = tmp_path / "maps"
    shutil.copytree(good / "maps", folder)
    record = json.loads((folder / FILE_NAME).read_text())
    record["samples"] += 1
    (folder / FILE_NAME).write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match="digest"):
        load_evaluation(folder)


def test_a_changed_plan_is_noticed_and_a_run_mends_it(tmp_path, good):
    make_maps(tiny_classifier(), ["ant", "bee"], QUICK, out=tmp_path)
    plan = tmp_path / "run.json"
    plan.write_text(plan.read_text().replace("bee.safetensors", "bat.safetensors"))
    with pytest.raises(DamagedArtifact, match="delete it"):
        write_report(tmp_path)
    make_maps(tiny_classifier(), ["ant", "bee"], QUICK, out=tmp_path)
    assert [one.concept for one in read_plan(tmp_path).maps] == ["ant", "bee"]


@pytest.mark.slow
def test_mutated_and_forged_files_are_refused_in_one_line_or_mean_what_they_say(tmp_path):
    rows = fuzz(tmp_path, [], 10)
    assert len(rows) >= 13
    for row in rows:
        assert row["refused"] + row["accepted"] == row["mutations"], row


# Other people's code


def test_a_file_beside_the_model_is_not_run_in_place_of_a_library(tmp_path, monkeypatch):
    (tmp_path / "colorsys.py").write_text("raise SystemExit('run')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    factory_source("colorsys:rgb_to_hsv")
    assert Path(sys.modules["colorsys"].__file__).parent != tmp_path


def write_factory(folder: Path, name: str, body: str) -> str:
    (folder / f"{name}.py").write_text(f"import sys, torch\nfrom torch import nn\n{body}\n")
    return f"{name}:build"


def test_a_factory_may_import_its_neighbours_when_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_layers.py").write_text("from torch import nn\nlayer = nn.Identity()\n")
    factory = write_factory(tmp_path, "late_import", "def build():\n    import own_layers\n    return own_layers.layer")
    path = list(sys.path)
    assert isinstance(factory_source(factory).build(), nn.Identity)
    assert sys.path == path


def test_with_a_safe_path_the_working_folder_is_not_looked_into(tmp_path, monkeypatch):
    from phosphene.model.sources import user_path

    monkeypatch.chdir(tmp_path)
    factory = write_factory(tmp_path, "never_found", "build = nn.Identity")
    flags = types.SimpleNamespace(safe_path=True)
    monkeypatch.setattr(user_path, "sys", types.SimpleNamespace(flags=flags, path=sys.path))
    with pytest.raises(BadInput, match="cannot find"):
        factory_source(factory)


EXITS = {
    "at import": "sys.exit(0)",
    "when called": "def build():\n    sys.exit(0)",
    "in a pass": "class Net(nn.Module):\n    def forward(self, images):\n        sys.exit(0)\ndef build():\n    return Net()",
    "by the command's own": "import typer\nclass Net(nn.Module):\n    def forward(self, images):\n        raise typer.Exit(0)\ndef build():\n    return Net()",
}


@pytest.mark.parametrize("where", EXITS)
def test_a_model_that_ends_the_program_gives_no_verdict(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    factory = write_factory(tmp_path, f"exits_{abs(hash(where))}", EXITS[where])
    weights = tmp_path / "w.pt"
    torch.save({"x": torch.zeros(1)}, weights)
    monkeypatch.setattr("phosphene.model.sources.opening.fill", lambda *arguments, **options: None)
    outcome = phosphene("scan", "--weights", weights, "--factory", factory, *FORMAT)
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1), outcome


# Signals


def test_ctrl_c_before_the_command_has_begun_is_one_line(tmp_path):
    def interrupt() -> None:
        import phosphene.core.memory

        phosphene.core.memory.keep_freed_memory = lambda: os.kill(os.getpid(), signal.SIGINT)

    outcome = forked.run(("list", "models"), tmp_path, interrupt)
    assert (outcome.code, len(outcome.err.splitlines())) == (130, 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("swallowed", [False, True])
def test_a_signal_ends_the_command_also_where_a_model_swallows_it(tmp_path, number, code, swallowed, monkeypatch):
    body = (
        "import os, time\n"
        f"def send():\n    os.kill(os.getpid(), {int(number)})\n    time.sleep(20)\n"
        "def build():\n"
        + (
            "    try:\n        send()\n    except BaseException:\n        time.sleep(20)\n"
            if swallowed
            else "    send()\n"
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("phosphene.cli.signals.GRACE", 0.2)
    factory = write_factory(tmp_path, "sends", body)
    torch.save({"x": torch.zeros(1)}, tmp_path / "w.pt")
    outcome = forked.run(("list", "concepts", "--weights", tmp_path / "w.pt", "--factory", factory, *FORMAT), tmp_path)
    assert (outcome.code, len(outcome.err.splitlines())) == (code, 1), outcome
    assert outcome.seconds < 15


def test_a_full_output_is_one_line_and_no_verdict(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    outcome = forked.run(("list", "models"), tmp_path, lambda: os.dup2(os.open("/dev/full", os.O_WRONLY), 1) and None)
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert "standard output" in outcome.err


@pytest.mark.slow
def test_a_killed_command_loses_nothing(tmp_path):
    for row in kill(tmp_path, ["map", "calibrate"], 3):
        found = {name: row[name] for name in ("finished files changed or lost", "other results", "left over", "faults")}
        assert not any(found.values()), row


@pytest.mark.slow
def test_pairs_of_runs_mix_nothing(tmp_path):
    for row in race(tmp_path, 1):
        names = ("maps of two runs in one folder", "finished maps overwritten", "left over", "faults")
        assert not any(row[name] for name in names), row


# Names of strangers


def test_control_characters_of_labels_never_reach_the_terminal(tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"\x1b[31mname{k}\u202e\x07\n" for k in range(20)), encoding="utf-8")
    source = from_factory(saved(colour_net(), tmp_path / "w.safetensors"))
    listed = phosphene("list", "concepts", *source, "--labels", labels)
    made = phosphene("map", "index:0", "--iterations", 2, "--out", tmp_path / "out", *source, "--labels", labels)
    assert (listed.code, made.code) == (0, 0), made.err
    for text in (listed.out, made.err, phosphene("show", next((tmp_path / "out").glob("*.safetensors"))).out):
        assert "⟨U+001B⟩" in text
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    page = write_report(tmp_path / "out").read_text(encoding="utf-8")
    assert "⟨U+202E⟩" in page
    assert not {"\x1b", "\x07", "\u202e"} & set(page)


def test_plain_text_stays_as_it_is():
    assert make_visible("größer 蚂蚁\n\ttab") == "größer 蚂蚁\n\ttab"


# Is it the same map?


def test_a_map_made_again_is_the_same_bit_for_bit_and_says_with_how_many_threads(tmp_path, good):
    again = tmp_path / "again"
    first = make_maps(tiny_classifier(), ["ant"], QUICK, out=tmp_path / "first")
    make_maps(tiny_classifier(), ["ant"], QUICK, out=again)
    comparison = compare(tmp_path / "first" / "ant.safetensors", again / "ant.safetensors")
    assert comparison.identical
    assert not comparison.differ
    assert {"threads", "build", "instructions"} <= first[0].versions.keys()


def test_the_command_of_the_page_asks_for_as_many_threads(tmp_path):
    [saliency] = make_maps(tiny_classifier(), ["ant"], QUICK)
    model = replace(saliency.model, name="efficientnet_lite0")
    command = format_command(replace(saliency, model=model, versions={**saliency.versions, "threads": "3"}))
    assert command.startswith("OMP_NUM_THREADS=3 phosphene map efficientnet_lite0")
    hostile = replace(saliency, model=model, versions={"threads": "1; rm -rf ~"})
    assert "rm" not in format_command(hostile)


def test_a_map_of_another_seed_is_read_against_the_noise_of_seeds(tmp_path, good):
    from phosphene.evidence.evaluation import evaluate
    from phosphene.evidence.settings import Settings

    folder, classifier = tmp_path / "first", tiny_classifier()
    make_maps(classifier, ["ant", "bee"], QUICK, out=folder)
    make_maps(classifier, ["ant"], replace(QUICK, seed=9), out=tmp_path / "other")
    alone = compare(folder / "ant.safetensors", tmp_path / "other" / "ant.safetensors")
    assert "--seeds" in alone.verdict
    assert alone.differ["seed"] == ("0", "9")
    evaluate(folder, classifier, settings=Settings(samples=1, seeds=2))
    beside = compare(folder / "ant.safetensors", tmp_path / "other" / "ant.safetensors")
    assert len(beside.seeds) == 2
    far = replace(beside, cosine=min(beside.seeds) - 0.1)
    assert "not reproduced" in far.verdict
    assert "noise of the seed" in replace(beside, cosine=max(beside.seeds)).verdict


# Memory


def test_the_changes_that_are_kept_of_every_class_count():
    """A mask with its colours and an image for each of 400 more classes: what a scan of 1000 large images holds."""
    few, many = (estimate_memory(linear_classifier((3, 32, 32), outputs=count)) for count in (100, 500))
    assert many - few >= 400 * (4 + 3) * 32 * 32 * 4


def test_a_scan_that_does_not_fit_into_memory_is_refused_before_it_begins(monkeypatch):
    classifier = tiny_classifier()
    needed = estimate_memory(classifier)
    free = types.SimpleNamespace(available=needed - 1)
    monkeypatch.setattr("phosphene.scanner.memory.psutil.virtual_memory", lambda: free)
    with pytest.raises(BadInput, match="GB of memory"):
        scan(classifier, FAST_SCAN)
    free.available = needed
    assert check_memory(classifier) is None


def test_a_recipe_that_nobody_knows_is_one_line_of_an_evaluation(tmp_path):
    """As an artifact has it that was made with a distribution of somebody else's, or forged."""
    classifier = tiny_classifier()
    (saliency,) = make_maps(classifier, ["index:0"], QUICK)
    for kind in ("of my own", "a" * 90_000):
        recipe = {**saliency.recipe, "distribution": {"kind": kind}}
        replace(saliency, recipe=recipe).save(tmp_path / "map.safetensors")
        with pytest.raises(BadInput, match="recipe that is unknown here") as caught:
            open_members(tmp_path, classifier, (), print)
        assert len(str(caught.value)) < 500
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("slot", "value"),
    [("score", {"a": 1}), ("score", None), ("geometry", 1e308), ("distribution", {"kind": ["grey"]}), ("seed", "0"),
     ("distribution", {"kind": "grey", "more": 1}), ("views", []), ("betas", {}), ("iterations", True), ("coarse", float("nan")), ("seed", 10**400)],
)  # fmt: skip
def test_a_recipe_of_another_shape_is_no_map(tmp_path, slot, value):
    (saliency,) = make_maps(tiny_classifier(), ["index:0"], QUICK)
    replace(saliency, recipe={**saliency.recipe, slot: value}).save(tmp_path / "map.safetensors")
    with pytest.raises(DamagedArtifact, match=f"the slot {slot} of its recipe"):
        SaliencyMap.load(tmp_path / "map.safetensors")


def test_outputs_of_an_unknown_kind_are_no_map(tmp_path):
    (saliency,) = make_maps(tiny_classifier(), ["index:0"], QUICK)
    replace(saliency, model=replace(saliency.model, output_kind="tea leaves")).save(tmp_path / "map.safetensors")
    with pytest.raises(DamagedArtifact, match="outputs are 'tea leaves'"):
        SaliencyMap.load(tmp_path / "map.safetensors")


def test_evidence_without_its_needs_is_shown_as_none(tmp_path):
    """A measure's entry may have been written by anybody; its needs decide whether it is measured again."""
    classifier = tiny_classifier()
    (saliency,) = make_maps(classifier, ["index:0"], QUICK)
    scores = replace(saliency.scores, evidence={"agnosticity": {"needs": "everything"}})
    replace(saliency, scores=scores).save(tmp_path / "map.safetensors")
    (member,) = open_members(tmp_path, classifier, (), print)
    assert member.entries == {"agnosticity": {"needs": "everything"}}


@pytest.mark.parametrize(("measure", "part"), [("complexity", "gini"), ("gain", "plus"), ("classes", "features")])
def test_evidence_that_lacks_a_part_is_one_line(good, measure, part):
    """A record with a digest that fits, in which a mapping has lost an entry that the measure always writes."""
    evaluation = load_evaluation(good / "maps")

    def drop(value):
        if isinstance(value, dict):
            return {key: drop(inner) for key, inner in value.items() if key != part}
        return [drop(inner) for inner in value] if isinstance(value, list) else value

    forged = replace(evaluation, scores={measure: drop(evaluation.scores[measure])})
    with pytest.raises(ArtifactError, match=f"stored of {measure} cannot be (shown|read)") as caught:
        make_results(forged)
    assert "\n" not in str(caught.value)
