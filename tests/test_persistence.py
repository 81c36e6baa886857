"""Runs that are killed, interrupted or run out of disk: what is finished stays, what is not leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from command import Outcome, finished_maps, from_factory, ran, saved, started, wait_for
from models import colour_classifier, colour_net
from phosphene.recipe.recipe import PRESETS
from phosphene.runs.make import make_maps
from phosphene.runs.saliency import SaliencyMap

CLASSES = [str(k) for k in range(12)]
RECIPE = replace(PRESETS["default"], iterations=20, restarts=1)
SHORT = ("--iterations", RECIPE.iterations, "--restarts", RECIPE.restarts)


@pytest.fixture(scope="module")
def uninterrupted() -> Sequence[SaliencyMap]:
    return make_maps(colour_classifier(), CLASSES, RECIPE)


@pytest.fixture
def command(tmp_path: Path) -> tuple[object, ...]:
    weights = saved(colour_net(), tmp_path / "weights.safetensors")
    return ("map", *CLASSES, *SHORT, "--out", tmp_path / "out", *from_factory(weights))


def assert_complete(folder: Path, expected: Sequence[SaliencyMap]) -> None:
    """All maps are there, valid and those of an uninterrupted run; nothing else is."""
    for saliency in expected:
        loaded = SaliencyMap.load(folder / f"{saliency.concept}.safetensors")
        assert torch.equal(loaded.map, saliency.map)
        assert torch.equal(loaded.picture, saliency.picture)
    names = {f"{name}.{ending}" for name in CLASSES for ending in ("safetensors", "png")} | {"run.json"}
    assert {path.name for path in folder.iterdir()} == names


SLOW_AT_RENAMES = """
import os, signal, time
from phosphene.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit deafness to it
rename = os.replace
def replace(old, new):
    time.sleep(0.1)
    rename(old, new)
os.replace = replace
main()
"""  # a run of tiny maps would else be over before the test has looked twice


@pytest.mark.parametrize("seed", [0])
def test_a_run_killed_twice_at_random_moments_is_completed_by_a_rerun(tmp_path, command, uninterrupted, seed):
    chance, folder = random.Random(seed), tmp_path / "out"
    kept: dict[str, tuple[bytes, int]] = {}
    for _ in range(2):
        awaited = len(kept) + chance.randrange(1, 5)
        process = started(*command, program=SLOW_AT_RENAMES)
        wait_for(process, lambda: len(list(folder.glob("*.safetensors"))) >= awaited)  # noqa: B023 - run at once
        time.sleep(chance.random() * 0.05)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        now = finished_maps(folder)
        assert {name: now[name] for name in kept} == kept
        assert awaited <= len(now) < len(CLASSES)
        kept = now
    outcome = ran(*command)
    assert outcome.code == 0, outcome.err
    after = finished_maps(folder)
    assert {name: after[name] for name in kept} == kept
    assert_complete(folder, uninterrupted)


DIES_AT_A_RENAME = """
import os, signal, sys
from phosphene.cli import main
rename, left = os.replace, [int(sys.argv.pop(1))]
def replace(old, new):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(old, new)
os.replace = replace
main()
"""


@pytest.mark.parametrize("write", [1, 6])
def test_a_kill_in_the_middle_of_a_write_leaves_no_half_written_file(tmp_path, command, uninterrupted, write):
    """Between flush and rename, where a temporary file is complete and nameless: first the folder's, then maps'."""
    folder = tmp_path / "out"
    assert ran(write, *command, program=DIES_AT_A_RENAME).code == -signal.SIGKILL
    assert list(folder.glob(".phosphene-*"))
    kept = finished_maps(folder)
    for name in kept:
        SaliencyMap.load(folder / name)
    make_maps(colour_classifier(), CLASSES, RECIPE, out=folder)
    after = finished_maps(folder)
    assert {name: after[name][0] for name in kept} == {name: content for name, (content, _) in kept.items()}
    assert_complete(folder, uninterrupted)


def test_ctrl_c_keeps_finished_maps_and_says_how_to_go_on(tmp_path, command, uninterrupted):
    folder = tmp_path / "out"
    process = started(*command, program=SLOW_AT_RENAMES)
    wait_for(process, lambda: bool(list(folder.glob("*.safetensors"))))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not list(folder.glob(".phosphene-*"))
    kept = finished_maps(folder)
    assert 0 < len(kept) < len(CLASSES)
    make_maps(colour_classifier(), CLASSES, RECIPE, out=folder)
    after = finished_maps(folder)
    assert {name: after[name] for name in kept} == kept
    assert_complete(folder, uninterrupted)


@contextlib.contextmanager
def small_disk(at: Path, size: str, *flags: str):
    """A file system of its own; skips where mounting is not permitted."""
    at.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *flags]), "phosphene-test", at],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def assert_one_line_and_nothing_half_written(outcome: Outcome, folder: Path, reason: str) -> None:
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert reason in outcome.err
    assert outcome.out == ""
    assert not list(folder.glob(".phosphene-*"))
    for path in folder.glob("*.safetensors"):
        SaliencyMap.load(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, uninterrupted):
    weights, folder = saved(colour_net(), tmp_path / "weights.safetensors"), tmp_path / "disk" / "out"
    arguments = ("map", *CLASSES[:8], *SHORT, "--json", "--out", folder, *from_factory(weights))
    with small_disk(tmp_path / "disk", "256k"):
        assert_one_line_and_nothing_half_written(ran(*arguments), folder, "No space left on device")
        kept = finished_maps(folder)
        assert 0 < len(kept) < 8
        subprocess.run(["mount", "-o", "remount,size=8m", tmp_path / "disk"], check=True)
        make_maps(colour_classifier(), CLASSES, RECIPE, out=folder)
        after = finished_maps(folder)
        assert {name: after[name] for name in kept} == kept
        assert_complete(folder, uninterrupted)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_read_only_disk_is_one_line(tmp_path):
    weights = saved(colour_net(), tmp_path / "weights.safetensors")
    with small_disk(tmp_path / "disk", "64k", "ro"):
        outcome = ran("map", "1", "--json", "--out", tmp_path / "disk", *from_factory(weights))
        assert_one_line_and_nothing_half_written(outcome, tmp_path / "disk", "cannot write")


def test_a_file_that_grows_too_large_is_one_line_and_leaves_nothing_half_written(tmp_path):
    """The same failure where mounting is not permitted: the system refuses the bytes after the first 40,000."""
    weights, folder = saved(colour_net(), tmp_path / "weights.safetensors"), tmp_path / "out"
    limit = 40_000
    outcome = ran(
        "map",
        "1",
        "--iterations",
        3,
        "--json",
        "--out",
        folder,
        *from_factory(weights),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert_one_line_and_nothing_half_written(outcome, folder, "File too large")
    assert not list(folder.glob("*.safetensors"))
