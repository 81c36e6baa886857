"""Write the parts of the docs that follow from the code: whole pages, and blocks between markers.

    python docs/generate.py             rewrite what is out of date
    python docs/generate.py --check     change nothing; exit 1 and name what is out of date

A block stands in any page of `docs/` or in the README between `<!-- generated: NAME -->` and `<!-- end -->`; NAME is
a key of `BLOCKS`, or a table of `benchmarks/results`.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import typer

from phosphene.cli.app import app
from phosphene.evidence.measures.registry import MEASURES
from phosphene.model.checks import CHECKS
from phosphene.model.sources.onnx_files.operators.table import OPERATORS
from phosphene.model.sources.registry import known_models
from phosphene.recipe.compositions import COMPOSITIONS
from phosphene.recipe.distributions import DISTRIBUTIONS
from phosphene.recipe.geometries import GEOMETRIES
from phosphene.recipe.recipe import PRESETS, SCHEDULES, Recipe
from phosphene.recipe.scores import SCORES
from phosphene.recipe.views import VIEWS
from phosphene.runs.executors.registry import EXECUTORS
from phosphene.scanner.reference import load_shipped
from phosphene.scanner.statistics.registry import STATISTICS, collect_roles

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
RESULTS = ROOT / "benchmarks" / "results"
SPLITS = ("dev", "test")
STUDIES = ("mislead", "bias", "bias-fashion", "concepts", "forged", "signature")
SCALING = ("count", "executors", "large", "nodes", "lite0", "storage", "paper")
COMPARED = ("overall", "alarms", "clean", "goals", "attacks", "architectures", "domains")
COMPARED += ("without-kind", "without-architecture")
NOTICE = "<!-- Written by docs/generate.py; change the code, not this page. -->"
MARKED = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def checks_page() -> str:
    """One section a check: raised if, means, try."""
    parts = ["# Checks", NOTICE, CHECKS_INTRODUCTION]
    for check in CHECKS.values():
        effect = "Stops the work." if check.fatal else "Written beside the map."
        lines = [f"- **Raised if** {check.raised_if}.", f"- **Means** {check.means}.", f"- **Try**: {check.remedy}."]
        parts.append(f"## {check.name}\n\n{effect}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def cli_page() -> str:
    """Every command with its arguments and options, from the command line's own parser."""
    group: Any = typer.main.get_command(app)
    parts = ["# Command line", NOTICE, CLI_INTRODUCTION]
    for name, command in _commands(group):
        context = typer.Context(command, info_name=name)
        parts += [f"## phosphene {name}", _paragraphs(command.help), f"```\n{_usage(name, command)}\n```"]
        parts.append(table(("argument or option", "meaning"), _parameters(command, context)))
    return "\n\n".join(parts) + "\n"


def _commands(group: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Every command by the words that call it, those of groups such as `study` included."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def choices_page() -> str:
    """Every registry: what can be chosen, and the first paragraph of its docstring."""
    described: dict[str, Mapping[str, str]] = {
        "Models": known_models(),
        "Distributions": _first_paragraphs(DISTRIBUTIONS),
        "Views": {name: format_value(dataclasses.asdict(views)) for name, views in VIEWS.items()},
        "Compositions": _first_paragraphs(COMPOSITIONS),
        "Scores": _first_paragraphs(SCORES),
        "Geometries": _first_paragraphs(GEOMETRIES),
        "Schedules": _first_paragraphs(SCHEDULES),
        "Executors": _first_paragraphs(EXECUTORS),
    }
    parts = ["# Choices", NOTICE, CHOICES_INTRODUCTION]
    for title, rows in described.items():
        named = ((f"`{name}`", text) for name, text in rows.items())
        parts += [f"## {title}", CHOSEN_BY[title], table(("name", "what it is"), named)]
    parts += ["## Presets", CHOSEN_BY["Presets"], presets_block(PRESETS)]
    return "\n\n".join(parts) + "\n"


def presets_block(presets: Mapping[str, Recipe]) -> str:
    """Fields of recipes side by side."""
    records = {name: recipe.to_json() for name, recipe in presets.items()}
    fields = [field.name for field in dataclasses.fields(Recipe)]
    return table(
        ("field", *(f"`{name}`" for name in records)),
        ((f"`{field}`", *(format_value(record[field]) for record in records.values())) for field in fields),
    )


def rows_block() -> str:
    """The rows of import-linter's contract, lowest first, with the first sentence of each module's docstring."""
    (layers,) = re.findall(
        r"^layers = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M | re.S
    )
    rows = [re.findall(r"\w+", line) for line in reversed(re.findall(r'"(.*?)"', layers))]
    return table(
        ("row", "module", "what it holds"),
        (
            (str(number), f"`{name}`", line)
            for number, row in enumerate(rows)
            for name in row
            if (line := _opening(name))
        ),
    )


def measured_block(name: str) -> str:
    """The table that a script of `benchmarks/` last wrote, under the command that writes it again."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        script = name.removesuffix("-summary").replace("hostile-", "hostile ").replace("-", "_")
        return f"Not measured yet; `python -m benchmarks.{script}` does."
    record = json.loads(path.read_text(encoding="utf-8"))
    columns = list(record["rows"][0])
    machine = ", ".join(f"{key} {value}" for key, value in record.get("machine", {}).items())
    rows = ([str(row.get(column, "")) for column in columns] for row in record["rows"])
    return f"`{record['command']}` ({machine}):\n\n{table(columns, rows)}"


def onnx_block() -> str:
    """The operators of ONNX files, those of each domain in a row."""
    domains: dict[str, list[str]] = {}
    for kind in sorted(OPERATORS):
        domain, _, name = kind.rpartition(".")
        domains.setdefault(domain or "ONNX", []).append(name)
    return table(("domain", "operators"), ((domain, ", ".join(names)) for domain, names in domains.items()))


def measures_block() -> str:
    """Every measure of evidence: what it asks, and what its values mean."""
    rows = [[f"`{key}`", one.question, one.good, one.bad] for key, one in MEASURES.items()]
    return table(("score", "question", "good", "bad"), rows)


def peers_block(name: str) -> str:
    """One table of the comparison with other tools."""
    if not (RESULTS / f"{name}.json").is_file():
        return "Not measured yet; `python -m benchmarks.peers` does, with the commands above."
    return measured_block(name)


def comparison_block(split: str, part: str) -> str:
    """One table of the detectors' comparison over a split of the zoo."""
    if not (RESULTS / f"scanner-{split}-{part}.json").is_file():
        return f"Not measured yet; `python -m benchmarks.scanner run`, then `evaluate`, on the {split} split does."
    return measured_block(f"scanner-{split}-{part}")


def kinds_block() -> str:
    """Which statistics speak of which kind of trigger in the scanner's fusion."""
    shipped, roles = load_shipped(), collect_roles()
    rows = [*roles.kinds.items(), ("any", roles.any_kind), ("the model as a whole", roles.whole)]
    words = [(kind, ", ".join(f"`{name}`" for name in names)) for kind, names in rows]
    counts = f"{len(shipped.rows)} clean models and {len(shipped.further)} further ones"
    return f"`{shipped.command}`, {counts}:\n\n{table(('kind of trigger', 'statistics'), words)}"


def statistics_block() -> str:
    """Every column of the scanner by its stage, and what it means."""
    rows = [
        (statistic.key, f"`{column.key}`", column.means)
        for statistic in STATISTICS.values()
        for column in statistic.columns
    ]
    return table(("stage", "column", "what it is"), rows)


def study_block(name: str) -> str:
    """The answers and tables of a study, from the `study.json` that its command wrote."""
    path = RESULTS / f"study-{name}.json"
    if not path.is_file():
        return "Not measured yet."
    study = json.loads(path.read_text(encoding="utf-8"))
    tables = [
        f"**{one['title']}.** {one['note']}\n\n"
        + table(list(one["rows"][0]), [list(map(str, row.values())) for row in one["rows"]])
        for one in study["tables"]
    ]
    return "\n\n".join([f"`{study['command']}`:", "\n".join(f"- {answer}" for answer in study["answers"]), *tables])


def scaling_block(part: str) -> str:
    """One table of what an atlas costs."""
    if not (RESULTS / f"scaling-{part}.json").is_file():
        return f"Not measured yet; `python -m benchmarks.scaling {part}` does."
    return measured_block(f"scaling-{part}")


def atlas_block(name: str) -> str:
    """A whole atlas in tables, from its small record: how it was made, means, families, worst classes, pairs."""
    path = RESULTS / f"atlas-{name}.json"
    if not path.is_file():
        return f"Not measured yet; `python -m benchmarks.atlas DIR {name}` records an atlas."
    atlas = json.loads(path.read_text(encoding="utf-8"))
    pairs = [(f"{first} → {second}", f"{share:.0%}") for first, second, share in atlas["entangled"]]
    worst = [(one["class"], one["family"], f"{one['fidelity']:.2f}", one["why"]) for one in atlas["worst"]]
    families = [[str(value) for value in row.values()] for row in atlas["families"]]
    facts = {**atlas["settings"], **atlas["summary"]}
    return "\n\n".join(
        [
            f"`{atlas['command']}`:",
            table(("what", "value"), [(key, str(value)) for key, value in facts.items() if value != ""]),
            "**Families**, the lowest fidelity first.",
            table(list(atlas["families"][0]), families),
            "**The worst classes**, and what was measured beside them.",
            f"![The worst classes of the atlas, the lowest fidelity first](pictures/atlas-{name}.jpg)",
            table(("class", "family", "fidelity", "why"), worst),
            "**The most entangled pairs**: the map of the first raises the second, by this share of what its own does.",
            table(("pair", "share"), pairs),
        ]
    )


PAGES: dict[str, Callable[[], str]] = {"checks.md": checks_page, "cli.md": cli_page, "choices.md": choices_page}
BLOCKS: dict[str, Callable[[], str]] = {
    "onnx-operators": onnx_block,
    "onnx-measured": lambda: measured_block("onnx_files"),
    "rows": rows_block,
    "presets": lambda: presets_block({name: PRESETS[name] for name in ("paper", "default")}),
    **{name: partial(peers_block, name) for name in ("peers", "peers-time", "peers-goals")},
    "evidence-measures": measures_block,
    "scanner-kinds": kinds_block,
    "scanner-statistics": statistics_block,
    **{f"scanner-{split}-{part}": partial(comparison_block, split, part) for split in SPLITS for part in COMPARED},
    **{f"scaling-{part}": partial(scaling_block, part) for part in SCALING},
    "atlas-lite0": lambda: atlas_block("lite0"),
    **{f"study-{name}": partial(study_block, name) for name in STUDIES},
}


def expected() -> dict[Path, str]:
    """Every page with a generated part, as it ought to be."""
    pages = {DOCS / name: page() for name, page in PAGES.items()}
    for path in [*sorted(DOCS.glob("*.md")), ROOT / "README.md"]:
        if path not in pages and path.is_file() and MARKED.search(text := path.read_text(encoding="utf-8")):
            pages[path] = MARKED.sub(_fill, text)
    return pages


def stale() -> list[Path]:
    """Pages that are not as they ought to be."""
    return [path for path, text in expected().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def format_value(value: Any) -> str:
    """A value of a recipe in words: `grey (sigma 0.1)`."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name} {format_value(held)}" for name, held in value.items() if name != "kind")
        kind = str(value.get("kind", ""))
        return f"{kind} ({inner})" if kind and inner else kind or inner
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(format_value, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fill(marked: re.Match[str]) -> str:
    name = marked[2]
    if name not in BLOCKS and not (RESULTS / f"{name}.json").is_file():
        raise SystemExit(f"no block {name!r}; expected a key of BLOCKS or a table of benchmarks/results")
    return f"{marked[1]}{BLOCKS.get(name, partial(measured_block, name))()}\n{marked[3]}"


def _parameters(command: Any, context: typer.Context) -> Iterable[tuple[str, str]]:
    for parameter in command.get_params(context):
        usage, text = parameter.get_help_record(context)
        if parameter.param_type_name == "argument":
            usage = _argument(parameter)
        yield f"`{usage}`", " ".join(text.replace("<", "&lt;").split())


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _usage(name: str, command: Any) -> str:
    words = [f"phosphene {name}"]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            word = _argument(parameter)
            words.append(word if parameter.required else f"[{word}]")
    return " ".join([*words, "[OPTIONS]"])


def _first_paragraphs(registry: Mapping[str, Any]) -> dict[str, str]:
    return {name: " ".join((item.__doc__ or "").split("\n\n")[0].split()) for name, item in registry.items()}


def _opening(module: str) -> str:
    """The first sentence of a module's docstring; empty where there is no such module (yet)."""
    package = ROOT / "src" / "phosphene"
    for path in (package / f"{module}.py", package / module / "__init__.py"):
        if path.is_file():
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            return " ".join(docstring.split("\n\n")[0].split())
    return ""


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


CHECKS_INTRODUCTION = """\
What a model or a map is checked for. A check that stops the work raises `FailedCheck` (a `phosphene.PhospheneError`;
the command line prints it as one line and exits with 2); the others are listed in the artifact's `checks`, by the
command line and in the report. The model is probed with three images of uniform noise."""

CLI_INTRODUCTION = """\
Progress and warnings go to standard error, results to standard output; with `--json` nothing else stands there.
Exit codes: 0 done; 2 an error of the user's, in one line; 70 an error of this program's, in one line too, with the
traceback where the environment variable `PHOSPHENE_TRACEBACK` is 1; 130 interrupted, finished maps kept; 141 the reader
of the output is gone. `phosphene scan` adds its own for verdicts, `phosphene atlas` 3 where
classes failed, `phosphene map --beside` 3 where a model has no map of a concept. A model is named as
[choices.md](choices.md#models) lists, or given as `--factory pkg.mod:fn --weights FILE` with `--size`, `--channels`,
`--mean` and `--std` in place of MODEL."""

CHOICES_INTRODUCTION = """\
Every choice is one entry of a plain dictionary; the command line, the tests and this page read the same dictionaries.
`phosphene list` prints most of them."""

CHOSEN_BY = {
    "Models": "The MODEL of every command, and `phosphene.load(name)`.",
    "Presets": "`--preset`, and `phosphene.PRESETS[name]`; the fields are those of `phosphene.Recipe`.",
    "Distributions": "`--distribution` (photographs: `folder:PATH`), and `Recipe.distribution`, an object.",
    "Views": "`Recipe.views`, an object.",
    "Compositions": "`Recipe.composition`.",
    "Scores": "`--score`, and `Recipe.score`; they apply to concepts that are given as text.",
    "Geometries": "`--geometry`, and `Recipe.geometry`, an object.",
    "Schedules": "`Recipe.schedule`.",
    "Executors": "Where jobs run; `--workers` chooses, and `make_maps(executor=)`, an object. The maps are the same.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 and name what is out of date")
    options = parser.parse_args()
    late = stale()
    if not options.check:
        for path in late:
            path.write_text(expected()[path], encoding="utf-8")
    for path in late:
        print(f"{'out of date' if options.check else 'wrote'}: {path.relative_to(ROOT)}")
    if options.check and late:
        raise SystemExit("run `python docs/generate.py`")


if __name__ == "__main__":
    main()
