"""The plan of the house, held by tests: where logic may stand, what names may be called, how long files may be."""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "phosphene"
FILES = sorted(PACKAGE.rglob("*.py"))
FACE = PACKAGE / "__init__.py"  # hands names on lazily, which takes a function

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py" and path != FACE], ids=str)
def test_an_init_hands_names_on_and_does_nothing_else(path):
    for node in parse(path).body:
        assert isinstance(node, (ast.Import, ast.ImportFrom)) or is_docstring(node) or is_all(node), ast.unparse(node)


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=str)
def test_no_name_of_a_package_hides_a_module_of_it(path):
    modules = {one.stem for one in path.parent.iterdir() if one.suffix == ".py" or (one / "__init__.py").exists()}
    names = {alias.asname or alias.name for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom)
             for alias in node.names}  # fmt: skip
    defined = {node.name for node in ast.walk(parse(path)) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert not modules & (names | defined)


@every_file
def test_no_file_is_longer_than_300_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def body_lines(function: ast.FunctionDef) -> int:
    body = [node for node in function.body if not is_docstring(node)]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_the_median_function_has_at_most_8_lines():
    functions = [node for path in FILES for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef)]
    lengths = [length for function in functions if (length := body_lines(function))]
    assert len(lengths) > 500
    assert statistics.median(lengths) <= 8


def is_table(node: ast.AST) -> bool:
    """Data written out: every cell is a constant, a name, an arithmetic expression, or a call of a record's class."""
    cells = (ast.Tuple, ast.List, ast.Dict, ast.Set, ast.Constant, ast.Name, ast.Attribute, ast.Load, ast.Call,
             ast.keyword, ast.UnaryOp, ast.USub, ast.BinOp, ast.Div, ast.JoinedStr, ast.FormattedValue, ast.Starred,
             ast.DictComp, ast.comprehension, ast.Store)  # fmt: skip
    return all(isinstance(child, cells) for child in ast.walk(node))


@every_file
def test_the_formatter_is_switched_off_for_tables_only(path):
    text = path.read_text(encoding="utf-8")
    comments = [
        token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT
    ]
    lines = [token.start[0] for token in comments if token.string == "# fmt: skip"]
    tables = [node for node in ast.walk(parse(path)) if isinstance(node, (ast.Assign, ast.AnnAssign))]
    for line in lines:
        ends = [node for node in tables if node.end_lineno == line]
        assert ends, f"line {line} ends no assignment"
        assert is_table(ends[0].value), f"line {line} ends no table"


def imported(path: Path) -> set[str]:
    nodes = [node for node in ast.walk(parse(path)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return modules | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda path: path.stem)
def test_no_benchmark_imports_the_command_line(path):
    assert not {module for module in imported(path) if module.startswith("phosphene.cli")}


@every_file
def test_no_module_keeps_a_mutable_cache(path):
    """What is computed once has an owner: an empty container at module level is a cache without one."""
    for node in parse(path).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            written = ast.unparse(node.value)
            assert written not in ("{}", "[]", "dict()", "list()", "set()", "WeakKeyDictionary()"), written
