"""What a user may rely on: at most ten names, and an import that costs nothing until they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import phosphene

PUBLIC = [
    "Classifier", "Concept", "InputFormat", "PRESETS", "PhospheneError", "Recipe", "SaliencyMap", "estimate", "load",
    "make_maps",
]  # fmt: skip


def test_the_public_names_are_these():
    assert sorted(phosphene.__all__) == PUBLIC
    assert len(phosphene.__all__) <= 10


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name):
    assert getattr(phosphene, name) is not None
    namespace: dict[str, object] = {}
    exec(f"from phosphene import {name}", namespace)
    assert namespace[name] is getattr(phosphene, name)


def test_the_typed_imports_are_the_public_names():
    """What a type checker sees is what `__getattr__` gives."""
    source = phosphene.__spec__.loader.get_source("phosphene")
    assert {line.split(" as ")[1] for line in source.splitlines() if line.startswith("    from phosphene.")} == set(
        PUBLIC
    )


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="no_such_name"):
        phosphene.no_such_name  # noqa: B018


def test_importing_phosphene_does_not_import_torch():
    program = "import sys, phosphene; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "phosphene" in loaded
    assert not {"torch", "numpy", "PIL", "timm", "torchvision", "typer", "matplotlib"} & set(loaded)
