"""The docs are true: generated parts are up to date, code blocks run, commands parse, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import typer

import phosphene
from phosphene.cli.app import app
from phosphene.model.sources.bundled import BUNDLED
from phosphene.model.sources.registry import FAMILIES
from phosphene.recipe.distributions import DISTRIBUTIONS
from phosphene.recipe.geometries import GEOMETRIES
from phosphene.recipe.scores import SCORES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
REGISTRIES = (BUNDLED, DISTRIBUTIONS, FAMILIES, GEOMETRIES, SCORES)
NEWCOMERS = ("distribution", "geometry", "concept", "source")

every_page = pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in one of the languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [code for language, code in found if language in languages]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def registries() -> Iterator[None]:
    """Whatever a page registers is gone again afterwards."""
    before = [dict(registry) for registry in REGISTRIES]
    yield
    for registry, kept in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(kept)


def test_generated_parts_are_up_to_date(generate):
    late = [path.name for path in generate.stale()]
    assert not late, f"run `python docs/generate.py`: {late}"


def test_generating_twice_changes_nothing(generate):
    assert generate.expected() == generate.expected()


def test_check_names_the_stale_page_and_exits_with_1(generate, tmp_path, monkeypatch, capsys):
    for name, value in (("ROOT", tmp_path), ("DOCS", tmp_path / "docs"), ("BLOCKS", {"presets": lambda: "new"})):
        monkeypatch.setattr(generate, name, value)
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text("before\n<!-- generated: presets -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr("sys.argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit) as left:
        generate.main()
    assert left.value.code not in (0, None)
    assert "page.md" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["generate.py"])
    generate.main()
    assert page.read_text() == "before\n<!-- generated: presets -->\nnew\n<!-- end -->\nafter\n"
    assert not generate.stale()


@pytest.mark.parametrize("what", NEWCOMERS)
def test_the_page_that_adds_one_runs_and_registers_it(what, registries, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = [set(registry) for registry in REGISTRIES]
    namespace: dict[str, object] = {"__name__": f"add_a_{what}"}
    monkeypatch.setitem(sys.modules, f"add_a_{what}", ModuleType(f"add_a_{what}"))
    for code in blocks(ROOT / "docs" / f"add-a-{what}.md", "python"):
        exec(compile(code, f"add-a-{what}.md", "exec"), namespace)
    assert sum(len(set(registry) - known) for registry, known in zip(REGISTRIES, before, strict=True)) == 1


LONGEST = {"concept": 8, "distribution": 12, "geometry": 15, "source": 15}  # lines of code that adding one takes


def definition_lines(code: str) -> int:
    """Lines of the first class or last function, without docstrings, comments and blank lines."""
    tree = ast.parse(code)
    kinds = [node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
    if not kinds:
        return 0
    node = next((one for one in kinds if isinstance(one, ast.ClassDef)), kinds[-1])
    for inner in ast.walk(node):
        if isinstance(inner, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(inner):
            inner.body = inner.body[1:]
    return len([line for line in ast.unparse(node).splitlines() if line.strip()])


@pytest.mark.parametrize("what", NEWCOMERS)
def test_adding_one_takes_few_lines(what):
    first = blocks(ROOT / "docs" / f"add-a-{what}.md", "python")[0]
    assert 0 < definition_lines(first) <= LONGEST[what]


def test_the_code_of_the_pages_has_the_types_that_it_claims(tmp_path):
    """What the pages show is a geometry, a distribution, a concept to mypy too."""
    for what in NEWCOMERS:
        code = "\n".join(blocks(ROOT / "docs" / f"add-a-{what}.md", "python"))
        (tmp_path / f"add_a_{what}.py").write_text(code)
    line = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path)]
    found = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_the_readmes_python_runs(lite0, tmp_path, monkeypatch):
    """As written, but for the iterations: two instead of the preset's."""
    monkeypatch.chdir(tmp_path)
    make_maps = phosphene.make_maps

    def short(classifier, concepts, recipe=phosphene.PRESETS["default"], **options):
        return make_maps(classifier, concepts, replace(recipe, iterations=2), **options)

    monkeypatch.setattr(phosphene, "make_maps", short)
    monkeypatch.setattr(phosphene, "load", lambda name: lite0)
    snippets = blocks(ROOT / "README.md", "python")
    assert snippets
    for code in snippets:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def written_commands() -> list[tuple[str, str]]:
    """Every `phosphene …` line of the pages' shell blocks, continuation lines joined."""
    return [
        (page.name, line)
        for page in PAGES
        for code in blocks(page, "sh", "bash", "console")
        for line in code.replace("\\\n", " ").splitlines()
        if line.removeprefix("$ ").startswith("phosphene ")
    ]


@pytest.mark.parametrize(("written_in", "line"), written_commands())
def test_a_command_of_the_docs_is_one_that_the_command_line_takes(written_in, line):
    _, name, *words = shlex.split(line.removeprefix("$ "), comments=True)
    command = typer.main.get_command(app).commands[name]
    command.make_context(name, words)  # parses without running


@every_page
def test_every_relative_link_leads_to_a_file(document):
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    missing = [link for link in links if not leads_somewhere(document, link)]
    assert not missing


def leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_readme_fits_two_screens():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


def test_every_benchmark_command_of_the_docs_names_a_script_that_exists():
    named = {
        (page.name, module)
        for page in PAGES
        for module in re.findall(r"python -m (benchmarks[\w.]*)", page.read_text())
    }
    assert len(named) > 10
    missing = [one for one in sorted(named) if not leads_to_a_module(one[1])]
    assert not missing


def leads_to_a_module(module: str) -> bool:
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def resolves(name: str) -> bool:
    """Whether `phosphene.a.b.c` is a module, or a name in one, or a member of such a name."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        return all((found := getattr(found, part, None)) is not None for part in parts[cut:])
    return False


@pytest.mark.parametrize(
    "document", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda path: path.name
)
def test_every_name_of_the_code_exists(document):
    """But in the changelog, which names what there was."""
    names = set(re.findall(r"`(phosphene(?:\.\w+)+)`", document.read_text(encoding="utf-8")))
    assert not [name for name in sorted(names) if not resolves(name)]
