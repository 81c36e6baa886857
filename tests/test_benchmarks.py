"""Every benchmark explains itself, as `make bench` promises."""

from __future__ import annotations

import ast
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
def test_a_benchmark_explains_how_it_is_run(name, capsys):
    with pytest.raises(SystemExit) as end:
        import_module(name).main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert f"python -m {name.removesuffix('.__main__')}" in shown


def test_there_are_benchmarks():
    assert len(SCRIPTS) >= 10


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda path: path.stem)
def test_no_benchmark_imports_the_command_line(path):
    imported = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    assert not [name for name in imported if f"{name}.".startswith("phosphene.cli.")]
