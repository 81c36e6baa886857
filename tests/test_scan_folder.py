"""A folder of checkpoints: every model scanned once, whatever stops the run, and one table that hides nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import save_file

import models
from browser import DESKTOP, PHONE
from command import TESTS, phosphene, wait_for
from phosphene.core.locks import lock_target
from phosphene.errors import ArtifactError, BadInput
from phosphene.model.sources.load import load
from phosphene.report.scans import render_scans, write_scans_report
from phosphene.runs.executors.processes import Processes
from phosphene.runs.executors.serial import Serial
from phosphene.scanner.against.base import Base
from phosphene.scanner.exports.artifact import hash_file
from phosphene.scanner.folder import job as folder_job
from phosphene.scanner.folder import run as folder_run
from phosphene.scanner.folder.base import FILE_NAME as BASE_FILE
from phosphene.scanner.folder.base import measure_base_once, read_base
from phosphene.scanner.folder.identity import hash_beside, hash_model
from phosphene.scanner.folder.job import ScanJob
from phosphene.scanner.folder.listing import LeftOut, is_folder_of_models, list_folder, natural_key
from phosphene.scanner.folder.options import read_options
from phosphene.scanner.folder.record import FILE_NAME, FolderScan, ScannedModel, load_scans
from phosphene.scanner.folder.run import FolderCallbacks, scan_folder
from phosphene.scanner.record import VERDICTS, Named, Scan
from phosphene.scanner.settings import Settings
from test_exports import run_step, scan_of, validate_sarif
from test_scan_report import SCRIPT

TINY = Settings(surrogates=1, surrogate_iterations=2, stamps=4, images=2, patch_iterations=3, additive_iterations=3,
                colour_iterations=0, warp_iterations=0, pair_iterations=0, margin_iterations=2, margin_starts=1,
                permutation_iterations=2, permutation_starts=1, window_iterations=0, top=1, controls=1,
                long_iterations=2, restarts=1)  # fmt: skip
FED = {"size": (12, 12), "channels": 3, "mean": 0.5, "std": 0.25}
OPTIONS = {"factory": "models:colour_net", **FED}
LINE = ("--factory", "models:colour_net", "--size", 12, "--channels", 3, "--mean", 0.5, "--std", 0.25)


def plant(path: Path, seed: int = 0) -> Path:
    """A weights file of its own for each seed."""
    save_file(models.ConvNet(3, 20, seed).state_dict(), path)
    return path


@pytest.fixture
def checkpoints(tmp_path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for number in (10, 2, 1):
        plant(folder / f"net{number}.safetensors", number)
    return folder


def records(out: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of writing of each finished scan."""
    found = (path for path in out.glob("[!.]*.json") if path.name != FILE_NAME)
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def numbers(record: FolderScan) -> list[tuple[object, ...]]:
    return [(one.file, one.verdict, one.p_value, one.p_internal, one.target) for one in record.models]


def run(folder: Path, **changes) -> FolderScan:
    return scan_folder(folder, folder.with_name("out"), OPTIONS, TINY, **changes)


def test_models_stand_in_natural_order_and_only_what_is_new_or_changed_is_scanned_again(checkpoints):
    first, out = run(checkpoints), checkpoints.with_name("out")
    assert [one.file for one in first.models] == ["net1.safetensors", "net2.safetensors", "net10.safetensors"]
    assert [one.sha256 for one in first.models] == [hash_file(checkpoints / one.file) for one in first.models]
    assert load_scans(out / FILE_NAME) == first
    before = records(out)
    assert len(before) == 3
    assert numbers(run(checkpoints)) == numbers(first)
    assert records(out) == before
    plant(checkpoints / "net2.safetensors", 5)
    plant(checkpoints / "net3.safetensors", 3)
    again, seen = run(checkpoints), records(out)
    assert {name: seen[name] for name in before} == before
    assert len(seen) == 5
    assert [one.file for one in again.models] == [f"net{number}.safetensors" for number in (1, 2, 3, 10)]
    assert again.models[1].fingerprint != first.models[1].fingerprint
    assert (again.models[0], again.models[3]) == (first.models[0], first.models[2])


@pytest.mark.parametrize("changed", ["seed", "options", "labels", "factory"])
def test_a_scan_that_was_asked_otherwise_is_another_scan(changed, checkpoints, monkeypatch, tmp_path):
    scanned = []
    monkeypatch.setattr(folder_job, "scan", lambda classifier, *_, **__: scanned.append(1) or scan_of("nothing found"))
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {index}" for index in range(20)))
    code = tmp_path / f"house_{changed}.py"
    code.write_text("import models\nbuild = models.colour_net\n")
    monkeypatch.syspath_prepend(tmp_path)
    options, settings, out = {**FED, "factory": f"house_{changed}:build", "labels": labels}, TINY, tmp_path / "out"
    for _ in range(2):
        scan_folder(checkpoints, out, options, settings)
    assert len(scanned) == 3
    if changed == "seed":
        settings = replace(TINY, seed=1)
    elif changed == "options":
        options |= {"std": 0.5}
    elif changed == "labels":
        labels.write_text(labels.read_text().replace("class 7", "ship"))
    else:
        code.write_text("import models\nbuild = lambda: models.colour_net()\n")
    scan_folder(checkpoints, out, options, settings)
    assert len(scanned) == 6


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_scan_folder import OPTIONS, TINY, Processes, Serial, scan_folder
if __name__ == "__main__":
    scan_folder(Path({folder!r}), Path({out!r}), OPTIONS, TINY, executor={executor})
"""


def wait_until_ended(workers: Sequence[psutil.Process]) -> None:
    for _ in range(6000):
        if not any(map(is_alive, workers)):
            return
        time.sleep(0.01)
    raise AssertionError("a worker outlived its parent by a minute")


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE  # nobody may reap an orphan
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("executor", ["Serial()", "Processes(2)"])
def test_a_run_that_was_killed_goes_on_where_it_stopped_and_any_executor_finds_the_same(
    executor, checkpoints, tmp_path
):
    for number in range(20, 40):
        plant(checkpoints / f"net{number}.safetensors", number)
    out, script = tmp_path / "out", tmp_path / "killed.py"
    values = {"tests": str(TESTS), "folder": str(checkpoints), "out": str(out), "executor": executor}
    script.write_text(KILLED.format(**values))
    line = [sys.executable, str(script)]  # a file, because what is spawned imports its parent's script
    process = subprocess.Popen(line, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(process, lambda: len(records(out)) > 0)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    wait_until_ended(workers)  # they may leave what they were writing
    (out / f".phosphene-{process.pid}-left.tmp").write_bytes(b"half")
    before = records(out)
    assert 0 < len(before) < 23
    assert not (out / FILE_NAME).exists()
    for number in range(20, 40):  # fewer, for the test's time
        (checkpoints / f"net{number}.safetensors").unlink()
    record = scan_folder(checkpoints, out, OPTIONS, TINY)
    assert [one.verdict is None for one in record.models] == [False] * 3
    after = records(out)
    assert {name: after[name] for name in before} == before
    assert [one.name for one in out.iterdir() if one.name.startswith(".")] == []
    if executor == "Serial()":
        return
    alone = scan_folder(checkpoints, tmp_path / "alone", OPTIONS, TINY)
    assert numbers(alone) == numbers(record)
    for name in before.keys() & records(tmp_path / "alone").keys():
        one, other = Scan.load(out / name), Scan.load(tmp_path / "alone" / name)
        assert (one.classes, one.trigger, one.p_value) == (other.classes, other.trigger, other.p_value)


KILLED_BASE = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_scan_folder import measure_base_of
print("started", flush=True)
measure_base_of(Path({weights!r}), Path({out!r}))
"""


def measure_base_of(weights: Path, out: Path) -> Base:
    classifier = load(weights=weights, factory="models:colour_net", **FED)
    return measure_base_once(classifier, replace(TINY, patch_iterations=60, additive_iterations=60), out)


def test_a_run_that_was_killed_while_it_measured_its_base_leaves_nothing_and_measures_it_again(tmp_path):
    weights, out, script = plant(tmp_path / "base.safetensors"), tmp_path / "out", tmp_path / "killed.py"
    script.write_text(KILLED_BASE.format(tests=str(TESTS), weights=str(weights), out=str(out)))
    process = subprocess.Popen([sys.executable, str(script)], text=True, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "started\n"
    time.sleep(0.2)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (out / BASE_FILE).exists()
    found = measure_base_of(weights, out)
    assert read_base(out / BASE_FILE).base.row == found.row
    assert measure_base_of(weights, tmp_path / "alone").row == found.row
    assert [one.name for one in out.iterdir()] == [BASE_FILE]


class Deadly(ScanJob):
    """A file that kills whoever opens it, where it is called so; others are scanned."""

    def _open(self):
        if self.candidate.name.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._open()


def test_a_model_that_kills_its_worker_costs_itself_alone(checkpoints, monkeypatch):
    monkeypatch.setattr(folder_run, "ScanJob", Deadly)
    for name in ("net1.safetensors", "net2.safetensors"):
        (checkpoints / name).unlink()
    run(checkpoints)
    plant(checkpoints / "deadly.safetensors")
    record = run(checkpoints, executor=Processes(1))
    assert [one.file for one in record.failures] == ["deadly.safetensors"]
    assert "died twice" in record.failures[0].failure
    assert len(record.models) == 2


def test_what_cannot_be_scanned_stops_nothing_and_what_is_no_model_is_named(checkpoints, tmp_path):
    (checkpoints / "broken.pt").write_bytes(b"PK nonsense")
    (checkpoints / "empty.onnx").write_bytes(b"")
    (checkpoints / "nameless").write_bytes((checkpoints / "net1.safetensors").read_bytes())
    (checkpoints / "read me.md").write_text("hello")
    (checkpoints / "link.pt").symlink_to(checkpoints / "net1.safetensors")
    (checkpoints / "more").mkdir()
    os.mkfifo(checkpoints / "pipe.pt")
    for name in ("net2.safetensors", "net10.safetensors"):
        (checkpoints / name).unlink()
    record = run(checkpoints)
    reasons = {one.file: one.failure for one in record.models}
    assert list(reasons) == ["broken.pt", "empty.onnx", "nameless", "net1.safetensors"]
    assert [name for name, reason in reasons.items() if reason is None] == ["nameless", "net1.safetensors"]
    assert all("\n" not in reason for reason in reasons.values() if reason)
    assert {one.name: one.reason for one in record.left_out} == {
        "link.pt": "a symbolic link, which is not followed", "more": "a folder, no model", "pipe.pt": "a pipe",
        "read me.md": "no model that is known",
    }  # fmt: skip


def test_a_file_that_changes_under_the_scan_is_no_result(checkpoints, monkeypatch):
    opened = folder_job.load

    def swap(*arguments, **options):
        classifier = opened(*arguments, **options)
        plant(options["weights"], 9)
        return classifier

    monkeypatch.setattr(folder_job, "load", swap)
    assert {one.failure for one in run(checkpoints).models} == {"it changed while the folder was scanned; run again"}


def test_a_damaged_record_is_kept_aside_and_made_again(checkpoints):
    for name in ("net2.safetensors", "net10.safetensors"):
        (checkpoints / name).unlink()
    out, said = checkpoints.with_name("out"), []
    first = run(checkpoints)
    path = out / first.models[0].record
    path.write_text(path.read_text().replace('"verdict": "', '"verdict": "not '))
    again = run(checkpoints, callbacks=FolderCallbacks(on_warning=said.append))
    assert numbers(again) == numbers(first)
    assert len(said) == 1
    assert (out / f"{path.name}.damaged-1").exists()


def test_a_second_run_into_one_folder_is_refused(checkpoints):
    out = checkpoints.with_name("out")
    out.mkdir()
    with lock_target(out / FILE_NAME, print), pytest.raises(ArtifactError, match="being written by process"):
        run(checkpoints)


@pytest.mark.parametrize("place", [".", "scans"])
def test_scans_are_not_written_among_the_models(place, checkpoints):
    with pytest.raises(BadInput, match="lies in the folder that is scanned"):
        scan_folder(checkpoints, checkpoints / place, OPTIONS, TINY)


def test_an_altered_table_is_refused(checkpoints, monkeypatch):
    monkeypatch.setattr(folder_job, "scan", lambda *_, **__: scan_of("suspicious"))
    run(checkpoints)
    path = checkpoints.with_name("out") / FILE_NAME
    path.write_text(path.read_text().replace('"suspicious"', '"nothing found"'))
    with pytest.raises(ArtifactError, match="does not match its digest"):
        load_scans(path)


def test_numbers_in_names_count_as_numbers():
    names = ["b2", "a10", "a9", "A1", "a", "10", "9", "a9b", "a09"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "A1", "a09", "a9", "a9b", "a10", "b2"]


def test_a_folder_that_is_itself_a_model_stays_one_model(tmp_path):
    for name, config in (("hf", {"model_type": "resnet"}), ("timm", {"architecture": "resnet18"}), ("other", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    assert [is_folder_of_models(tmp_path / name) for name in ("hf", "timm", "other")] == [False, False, True]
    plant(tmp_path / "net.safetensors")
    listing = list_folder(tmp_path)
    assert [(one.name, one.whole) for one in listing.models] == [
        ("hf", True),
        ("net.safetensors", False),
        ("timm", True),
    ]
    with pytest.raises(BadInput, match=r"nothing in .* can be a model"):
        list_folder(tmp_path / "other")


def test_the_digest_of_a_folder_is_that_of_its_files_and_links_in_it_are_refused(tmp_path):
    folder = tmp_path / "hf"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    before = hash_model(folder)
    (folder / "deep" / "weights").write_bytes(b"1")
    assert hash_model(folder) != before
    (folder / "link").symlink_to(folder / "config.json")
    with pytest.raises(BadInput, match="'link' is a link"):
        hash_model(folder)


def test_weights_beside_an_onnx_file_are_part_of_the_model(tmp_path):
    onnx = pytest.importorskip("onnx")
    tensor = onnx.numpy_helper.from_array(torch.zeros(64, 8).numpy(), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, 1, [1, size]) for name, size in (("x", 64), ("y", 8))]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [tensor]))
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "notes.txt").write_text("not named")
    assert hash_beside(path) == {"weights.bin": hash_file(tmp_path / "weights.bin")}


def write_options(folder: Path, record: object) -> None:
    (folder / "models.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"net9.safetensors": {}}, "speaks of 'net9.safetensors', and no model"),
        ({"net1.safetensors": {"sizes": 32}}, "unknown option 'sizes'; expected some of model, size"),
        ({"net1.safetensors": {"factory": "os:getcwd"}}, "give --factory on the command line"),
        ({"net1.safetensors": {"trust_pickle": True}}, "give --trust-pickle on the command line"),
        ({"net1.safetensors": {"model": "timm:local-dir:/etc"}}, "expected timm:NAME or torchvision:NAME"),
        ({"net1.safetensors": {"model": "hf:somebody/net"}}, "expected timm:NAME or torchvision:NAME"),
        ({"net1.safetensors": {"model": "./net2.safetensors"}}, "expected timm:NAME or torchvision:NAME"),
        ({"net1.safetensors": {"labels": "/etc/passwd"}}, "a file that lies in the folder itself"),
        ({"net1.safetensors": {"labels": "../names.txt"}}, "a file that lies in the folder itself"),
        ({"net1.safetensors": {"size": "large"}}, "cannot be read"),
        ({"net1.safetensors": 3}, "is a int; expected an object"),
        ([], "it holds a JSON list, expected an object"),
    ],
)
def test_options_of_a_folder_that_say_too_much_or_nothing_are_refused(record, said, checkpoints):
    (checkpoints.parent / "names.txt").write_text("a\nb\n")
    write_options(checkpoints, record)
    outcome = phosphene("scan", checkpoints, *LINE)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert said in outcome.err


def test_a_folder_says_how_its_files_are_fed_and_which_architecture_they_have(checkpoints, monkeypatch):
    loaded = []

    def pretend(**options):
        loaded.append({name: value for name, value in options.items() if value is not None})
        raise BadInput("enough")

    monkeypatch.setattr(folder_job, "load", pretend)
    (checkpoints / "names.txt").write_text("\n".join(map(str, range(20))))
    write_options(checkpoints, {
        "net1.safetensors": {"model": "timm:resnet18", "size": [32, 16], "mean": [0.1, 0.2, 0.3]},
        "net2.safetensors": {"labels": "names.txt", "std": 1},
    })  # fmt: skip
    record = run(checkpoints)
    files = [checkpoints / f"net{number}.safetensors" for number in (1, 2, 10)]
    assert loaded == [
        {**FED, "model": "timm:resnet18", "size": (32, 16), "mean": (0.1, 0.2, 0.3), "weights": files[0]},
        {**OPTIONS, "labels": checkpoints / "names.txt", "std": 1.0, "weights": files[1]},
        {**OPTIONS, "weights": files[2]},
    ]
    assert record.models[0].options["model"] == "timm:resnet18"
    assert "factory" not in record.models[0].options
    assert [one.name for one in record.left_out] == ["names.txt"]


def test_a_link_in_place_of_the_options_is_refused(checkpoints):
    (checkpoints.parent / "elsewhere.json").write_text("{}")
    (checkpoints / "models.json").symlink_to(checkpoints.parent / "elsewhere.json")
    with pytest.raises(BadInput, match="no regular file"):
        read_options(checkpoints, list_folder(checkpoints))


@pytest.fixture
def verdicts(checkpoints, monkeypatch):
    """Scans that take no time: the verdict of each model in the natural order, an exception where it is None."""
    wanted = []

    def pretend(classifier, *_, **__):
        weights = dict(classifier.opened)["weights"]
        name = wanted[["net1.safetensors", "net2.safetensors", "net10.safetensors"].index(weights)]
        if name is None:
            raise RuntimeError("of this model")
        return scan_of(name)

    monkeypatch.setattr(folder_job, "scan", pretend)
    return wanted


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("nothing found", "nothing found", "nothing found"), 0),
        (("nothing found", None, "nothing found"), 2),
        (("inconclusive", None, "nothing found"), 3),
        (("nothing found", "natural weak spot", None), 3),
        (("suspicious", None, "inconclusive"), 1),
        (("nothing found", "nothing found", "backdoor-like"), 1),
        ((None, None, None), 2),
    ],
)
def test_the_exit_code_is_of_the_gravest(names, code, verdicts, checkpoints):
    verdicts += names
    outcome = phosphene("scan", checkpoints, *LINE, "--executor", "serial", "--json")
    assert outcome.code == code
    table = json.loads(outcome.out)
    assert tuple(one["verdict"] for one in table["models"]) == names
    assert json.loads((checkpoints.with_name("models-scans") / FILE_NAME).read_text()) == table
    assert ("could not be scanned" in outcome.err) == (None in names)


def test_every_model_has_its_page_and_the_folder_one_log(verdicts, checkpoints, tmp_path):
    verdicts += ("suspicious", None, "nothing found")
    (checkpoints / "notes.txt").write_text("hello")
    log, out = tmp_path / "all.sarif", tmp_path / "scans"
    outcome = phosphene("scan", checkpoints, *LINE, "--executor", "serial", "--out", out, "--sarif", log)
    assert outcome.code == 1
    assert re.findall(r"^(net\d+)\.safetensors: ([a-z ]+)", outcome.out, re.MULTILINE) == [
        ("net1", "suspicious "), ("net2", "not scanned"), ("net10", "nothing found "),
    ]  # fmt: skip
    assert "at most 0.1 of them would be expected to be suspicious or worse by chance, and 0.02 backdoor" in outcome.out
    assert "left out: notes.txt: no model that is known" in outcome.err
    record = json.loads(log.read_text())
    validate_sarif(record)
    (only,) = record["runs"]
    assert [one["kind"] for one in only["results"]] == ["fail", "informational"]
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"] for one in only["results"]]
    assert places == [{"uri": "net1.safetensors", "index": 0}, {"uri": "net10.safetensors", "index": 1}]
    assert only["artifacts"][1]["hashes"]["sha-256"] == hash_file(checkpoints / "net10.safetensors")
    (invocation,) = only["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 1)
    assert "net2.safetensors could not be scanned: RuntimeError: of this model" in [
        one["message"]["text"] for one in invocation["toolExecutionNotifications"] if one["level"] == "error"
    ]
    table = load_scans(out / FILE_NAME)
    assert [(out / one.page).is_file() for one in table.models if one.page] == [True, True]
    (out / table.models[0].page).unlink()  # killed between the record and its page
    phosphene("scan", checkpoints, *LINE, "--executor", "serial", "--out", out)
    assert (out / table.models[0].page).is_file()


def test_the_step_of_the_docs_is_one_that_phosphene_understands(verdicts, checkpoints, tmp_path, monkeypatch):
    for code, expected in ((0, 0), (1, 1), (2, 2), (3, 0), (70, 70)):
        assert run_step(tmp_path, code, place=1)[0] == expected
    verdicts += ("suspicious", "nothing found", "nothing found")
    _, arguments = run_step(tmp_path, 0, place=1)
    monkeypatch.chdir(tmp_path)
    checkpoints.rename("checkpoints")
    arguments[arguments.index("my.models:build")] = "models:colour_net"
    assert phosphene(*arguments, "--executor", "serial").code == 1
    assert (tmp_path / "scans" / FILE_NAME).is_file()
    validate_sarif(json.loads((tmp_path / "scans.sarif").read_text()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--report", "x.html"), "--report is for one model"),
        (("--cyclonedx", "x.json"), "--cyclonedx is for one model"),
        (("--in-toto", "x.json"), "--in-toto is for one model"),
        (("--weights", "x.pt"), "--weights is for one model"),
        (("--executor", "ray"), "no executor is called 'ray'; expected one of processes, serial"),
        (("--executor", "serial", "--workers", 2), "--workers is 2, and --executor serial has one"),
        (("--factory", "models:nothing_here"), "cannot find the factory"),
        (("--labels", "missing.txt"), "cannot read the labels"),
    ],
)
def test_options_that_do_not_fit_a_folder_are_refused_in_one_line(arguments, said, checkpoints):
    outcome = phosphene("scan", checkpoints, *arguments)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert said in outcome.err
    assert not checkpoints.with_name("models-scans").exists()


@pytest.mark.parametrize("option", [("--out", "x"), ("--workers", 2), ("--executor", "serial")])
def test_options_of_a_folder_are_refused_for_one_model(option):
    outcome = phosphene("scan", "efficientnet_lite0", *option)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"{option[0]} is for a folder of models" in outcome.err


def table_of(*names: str | None) -> FolderScan:
    lines = [
        ScannedModel(
            f"{SCRIPT} {place}.pt", "ab" * 32, {}, {"factory": "my.models:build"}, "5eed" * 16, name, 0.0125, 0.5, None,
            Named(2, "owl"), 12.0, f"m {place}.json", f"m {place}.html",
        )
        if name is not None
        else ScannedModel(f"gone {place}.pt", None, failure="a reason that is long enough to be wrapped " * 5)
        for place, name in enumerate(names)
    ]  # fmt: skip
    return FolderScan("zoo <b>", tuple(lines), (LeftOut("a.txt", "no model that is known"),), {"seed": 3}, 60.0,
                      "shipped", {"phosphene": "0.2.0"})  # fmt: skip


def test_the_page_leads_to_every_model_and_fits_a_phone(visit, tmp_path):
    record = table_of("backdoor-like", None, "nothing found", "inconclusive", "suspicious", "natural weak spot")
    path = write_scans_report(record, tmp_path)
    (tmp_path / "m 0.html").write_text("<title>the first</title>")
    for width in (PHONE, DESKTOP):
        for scheme in ("light", "dark"):
            visited = visit(path, width, scheme)
            page = visited.page
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert (visited.complaints, visited.dialogs, visited.requests) == ([], [], [path.as_uri()])
    rows = page.locator(".models tbody tr")
    assert rows.count() == 6
    assert [rows.nth(place).locator(".verdict").inner_text() for place in range(6)] == [
        "backdoor-like", "not scanned", "nothing found", "inconclusive", "suspicious", "natural weak spot",
    ]  # fmt: skip
    assert page.locator("h1").inner_text() == "2 of 5 models stand out"
    assert SCRIPT in rows.nth(0).inner_text()
    assert "a.txt: no model that is known" in page.locator("body").inner_text()
    colours = {page.locator(f".verdict.{tone}").first.evaluate("one => getComputedStyle(one).color")
               for tone in ("accused", "careful", "calm")}  # fmt: skip
    assert len(colours) == 3
    rows.nth(0).locator("a").click()
    assert page.title() == "the first"


@pytest.mark.parametrize(
    ("names", "headline"),
    [
        (("nothing found",), "Nothing found in 1 model, which does not mean clean"),
        (("nothing found", None), "None of 1 model is accused, and not all is decided"),
        (("suspicious", "nothing found"), "1 of 2 models stands out"),
    ],
)
def test_the_headline_is_never_an_all_clear(names, headline):
    assert f"<h1>{headline}</h1>" in render_scans(table_of(*names))


def test_the_serial_executor_is_not_stopped_by_a_model_that_ends_the_program(checkpoints, monkeypatch):
    def leave(*_, **__):
        raise SystemExit(0)

    monkeypatch.setattr(folder_job, "scan", leave)
    record = run(checkpoints, executor=Serial())
    assert {one.failure for one in record.models} == {"its own code ended the program (exit 0)"}
    assert record.exit_code == 2
    assert not set(VERDICTS) & {one.verdict for one in record.models}
