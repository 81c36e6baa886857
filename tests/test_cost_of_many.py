"""What many maps cost: a job is a few words, and a folder of maps needs no more memory than a few of them."""

from __future__ import annotations

import pickle
from pathlib import Path

from command import FORMAT, ONE_THREAD, ran, saved
from phosphene.model.sources.load import load
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS
from phosphene.runs.jobs import Job

CONCEPTS = ("goldfish", "golden retriever", "daisy", "zebra", "flamingo", "traffic light", "goose", "maypole")


def test_a_job_of_eight_concepts_is_sent_in_less_than_10_kB():
    """The weights of Lite0 are 18.6 MB; a worker opens them by reference."""
    classifier = load("efficientnet_lite0")
    concepts = tuple(parse(name, classifier.labels) for name in CONCEPTS)
    assert classifier.reference is not None
    job = Job(classifier.reference, (classifier.reference,), concepts, PRESETS["default"], Path("/home/maps"), 4)
    sent = pickle.dumps(job)
    assert pickle.loads(sent) == job
    assert len(sent) < 10_000


NET = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    stem = nn.Conv2d(3, 4, 7, stride=8)
    return nn.Sequential(stem, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 64))
"""
PEAK = """
import resource
from phosphene.cli import main

try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_megabytes(folder: Path, count: int) -> float:
    """The most memory that `phosphene map` of `count` concepts at 160 x 160 ever has."""
    classes = [str(index) for index in range(count)]
    options = ("--iterations", 1, "--coarse", 0, "--restarts", 1, "--gif", "--out", f"maps-{count}")
    model = ("--factory", "net:build", "--weights", "net.safetensors", "--size", 160, *FORMAT[2:])
    outcome = ran("map", *classes, *options, *model, program=PEAK, cwd=folder, env=ONE_THREAD)
    assert outcome.code == 0, outcome.err
    assert len(list((folder / f"maps-{count}").glob("*.safetensors"))) == count
    return int(outcome.out.splitlines()[-1]) / 1024


def test_64_maps_need_the_memory_of_8(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    namespace: dict = {}
    exec(NET, namespace)
    saved(namespace["build"](), tmp_path / "net.safetensors")
    few, many = (peak_megabytes(tmp_path, count) for count in (8, 64))
    assert many < 1.1 * few, f"{many:.0f} MB for 64 maps, {few:.0f} MB for 8"
