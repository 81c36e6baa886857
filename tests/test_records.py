"""Every family of torchvision and timm once: random weights, saved and loaded by us, give the library's own logits.

`make test` takes the small ones; `make nightly` (PHOSPHENE_NIGHTLY=1) every classifier of torchvision and one model of
each of timm's families.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest
import torch
from torch import nn

import phosphene
from phosphene.model.sources.libraries import import_timm, import_torchvision
from random_weights import check_same, randomize

NIGHTLY = os.environ.get("PHOSPHENE_NIGHTLY") == "1"
TRANSFORMED = ("inception_v3", "googlenet")


def list_torchvision() -> list[str]:
    models = import_torchvision().models
    return models.list_models(module=models) if NIGHTLY else ["googlenet", "mnasnet0_5", "densenet121", "squeezenet1_1"]


def list_timm() -> list[str]:
    """One model of each family, the smallest by what its name says; without `NIGHTLY` timm's own tiny ones."""
    timm = import_timm()
    if not NIGHTLY:
        return ["test_byobnet", "test_convnext", "test_mambaout", "test_nfnet", "test_vit3"]
    small = ("test_", "atto", "femto", "pico", "nano", "xxs", "tiny", "mini", "small", "_s", "18", "_b0")
    families = {module: timm.list_models(module=module) for module in timm.list_modules()}
    return [min(names, key=lambda name: next((k for k, word in enumerate(small) if word in name), 99))
            for names in families.values() if names]  # fmt: skip


def build_torchvision(name: str, **options: object) -> nn.Module:
    """As torchvision builds it for its own weights."""
    fast = {"init_weights": False, "transform_input": True} if name in TRANSFORMED else {}
    return randomize(import_torchvision().models.get_model(name, weights=None, **fast, **options))


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    """torchvision's, empty; and no network."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize("name", list_torchvision())
def test_torchvisions_own_weights_are_loaded_as_torchvision_does(cache, name):
    models = import_torchvision().models
    record = models.get_model_weights(name).DEFAULT
    size = {"image_size": record.meta["min_size"][0]} if name.startswith("vit_") else {}
    module = build_torchvision(name, **size)
    state = module.state_dict()
    if name.startswith("densenet"):  # the names of the files that torchvision offers
        old = {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))(\d)", r"\1.\2", key): value
               for key, value in state.items() if not key.endswith("num_batches_tracked")}  # fmt: skip
        assert old.keys() != state.keys()
        state = old
    torch.save(state, cache / record.url.rsplit("/", 1)[1])
    classifier = phosphene.load(f"torchvision:{name}")
    assert len(classifier.labels) == 1000
    check_same(classifier, module)
    own = phosphene.load(f"torchvision:{name}", weights=cache / record.url.rsplit("/", 1)[1])
    assert own.format == classifier.format
    check_same(own, module)


@pytest.mark.parametrize("name", list_torchvision())
def test_own_weights_of_torchvisions_architecture_give_its_logits(tmp_path, name):
    without_aux = {"aux_logits": False} if name in TRANSFORMED else {}
    module = build_torchvision(name, num_classes=7, **without_aux)
    torch.save({"model": {f"module.{key}": value for key, value in module.state_dict().items()}}, tmp_path / "w")
    classifier = phosphene.load(f"torchvision:{name}", weights=tmp_path / "w")
    assert len(classifier.labels) == 7
    check_same(classifier, module)


@pytest.mark.parametrize("name", list_timm())
def test_own_weights_of_timms_architecture_give_its_logits(tmp_path, name):
    module = randomize(import_timm().create_model(name, num_classes=7))
    torch.save(module.state_dict(), tmp_path / "w")
    classifier = phosphene.load(f"timm:{name}", weights=tmp_path / "w")
    assert len(classifier.labels) == 7
    check_same(classifier, module)
