"""Every benchmark explains itself, as `make bench` promises."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
    if "\ndef main(" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_says_how_it_is_run(name, capsys):
    with pytest.raises(SystemExit) as end:
        import_module(name).main(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert f"python -m {name.removesuffix('.__main__')}" in said


def test_there_are_benchmarks():
    assert len(SCRIPTS) >= 10
