"""How to make a map again: the command line and the Python lines that give its recipe."""

from __future__ import annotations

import pprint
import shlex
from collections.abc import Mapping
from typing import Any

from phosphene.errors import BadInput
from phosphene.model.record import ModelRecord
from phosphene.model.sources.bundled import BUNDLED
from phosphene.model.sources.load import FLAGS, SAID
from phosphene.model.sources.registry import FAMILIES
from phosphene.recipe.distributions import DISTRIBUTIONS, Folder
from phosphene.recipe.geometries import GEOMETRIES
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import VIEWS
from phosphene.runs.saliency import SaliencyMap

PATHS = ("file", "folder")  # how a model that was opened by its path is called: `file:model.pt2`
# Fields of a recipe that have an option of their own.
PLAIN = (
    *("seed", "iterations", "composition", "score", "samples", "nudge_steps", "restarts", "coarse"),
    *("leak", "residual"),
)


def format_command(saliency: SaliencyMap) -> str | None:
    """The `phosphene map` line that makes the map again, with as many threads, on which its bits depend; None where no
    option gives its model or recipe. Judges that need more than a name are left out: the bits do not depend on them."""
    model, options = format_model(saliency.model), find_shortest_options(update_recipe(saliency.recipe))
    if model is None or options is None:
        return None
    threads = saliency.versions.get("threads", "")
    prefix = f"OMP_NUM_THREADS={threads} " if threads.isdecimal() else ""
    words = [f"{prefix}phosphene map {model} {shlex.quote(concept_argument(saliency))}"]
    words += [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in options.items()]
    judges = (_find_place(opinion.model) for opinion in saliency.scores.opinions)
    words += [f"--verifier {shlex.quote(judge)}" for judge in judges if judge is not None]
    return " \\\n  ".join([*words, "--out again"])


def format_snippet(saliency: SaliencyMap) -> str:
    """The same in Python, for every recipe."""
    recipe = format_recipe(update_recipe(saliency.recipe))
    lines = [
        "import phosphene",
        "",
        f"classifier = {format_load(saliency.model)}",
        f"assert classifier.fingerprint.startswith({saliency.model.fingerprint[:12]!r})",
        f"recipe = {recipe}",
        f"[saliency] = phosphene.make_maps(classifier, [{concept_argument(saliency)!r}], recipe)",
    ]
    if recipe.startswith("dataclasses"):
        lines = ["import dataclasses", "", *lines]
    return "\n".join(lines)


def concept_argument(saliency: SaliencyMap) -> str:
    """What to type for the concept: its name, or its index where several classes share the name."""
    index = saliency.index
    return str(index) if saliency.concept.endswith(f"({index})") else saliency.concept


def update_recipe(record: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe in the words of this version; one that this version cannot read stays as it is."""
    try:
        return Recipe.from_json(record).to_json()
    except BadInput:
        return dict(record)


def find_shortest_options(recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """The preset and the fewest options that make exactly this recipe, or None."""
    found = [options for name in PRESETS if (options := _options_from(name, recipe)) is not None]
    return min(found, key=len, default=None)


def _options_from(name: str, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """The options that turn the preset `name` into the wanted recipe, or None."""
    result = PRESETS[name].to_json()
    options = {field: wanted.get(field) for field in PLAIN if result[field] != wanted.get(field)}
    result |= options
    for slot in ("distribution", "views", "geometry"):
        if result[slot] != wanted.get(slot):
            options[slot], result[slot] = _option_of(slot, wanted.get(slot))
    return {"preset": name, "seed": wanted.get("seed"), **options} if result == wanted else None


def _option_of(slot: str, record: Any) -> tuple[str, Any]:
    """The command line's name of a distribution, geometry or views, and the record that this name gives."""
    kind = record.get("kind", "") if isinstance(record, Mapping) else ""
    if slot == "distribution" and kind == "folder":
        path = str(record.get("path", ""))
        return f"folder:{path}", Recipe(distribution=Folder(path)).to_json()[slot]
    if slot == "distribution" and kind in DISTRIBUTIONS:
        return kind, Recipe(distribution=DISTRIBUTIONS[kind]()).to_json()[slot]
    if slot == "views":
        known = {name: Recipe(views=views).to_json()[slot] for name, views in VIEWS.items()}
        return next(((name, view) for name, view in known.items() if view == record), ("", None))
    if slot == "geometry" and kind in GEOMETRIES:
        return kind, Recipe(geometry=GEOMETRIES[kind]()).to_json()[slot]
    return "", None


def format_model(model: ModelRecord) -> str | None:
    """The words that name the model on the command line; None for one that exists in Python only."""
    if not _is_known(model.name) and ":" not in model.name:
        return None
    place = _find_place(model.name)
    first = f"--factory {shlex.quote(model.name)}" if place is None else shlex.quote(place)
    return " ".join([first, *(_format_option(name, value) for name, value in _list_options(model).items())])


def _format_option(name: str, value: str) -> str:
    return f"--{name.replace('_', '-')}" if name in FLAGS else f"--{name} {shlex.quote(value)}"


def _find_place(name: str) -> str | None:
    """What MODEL is; None for a factory."""
    kind, _, path = name.partition(":")
    return name if _is_known(name) else path if kind in PATHS else None


def _list_options(model: ModelRecord) -> dict[str, str]:
    """The options beside the model's name, as typed, those of the input always where no record of a library says it."""
    said, form = dict(model.opened), model.input
    if not _is_known(model.name):
        mean, std = (",".join(f"{value:g}" for value in values) for values in (form.mean, form.std))
        size = ",".join(map(str, form.size if len(set(form.size)) > 1 else form.size[:1]))
        said |= {"size": size, "channels": str(form.channels), "mean": mean, "std": std}
        said |= {"weights": "FILE"} if _find_place(model.name) is None and not model.opened else {}
    return {name: said[name] for name in SAID if name in said}


def _is_known(name: str) -> bool:
    return name in BUNDLED or name.partition(":")[0] in FAMILIES


def format_load(model: ModelRecord) -> str:
    """The Python expression that loads the model, with FILE or YOUR_MODULE where only its owner knows what to put."""
    name, form = model.name, model.input
    input_values = {"size": form.size, "channels": form.channels, "mean": form.mean, "std": form.std}
    if not _is_known(name) and ":" not in name:
        values = ", ".join(f"{option}={value}" for option, value in input_values.items())
        return f"phosphene.Classifier(YOUR_MODULE, phosphene.InputFormat({values}), name={name!r})"
    place = _find_place(name)
    words = [f"factory={name!r}" if place is None else repr(place)]
    for option, typed in _list_options(model).items():
        value = True if option in FLAGS else input_values.get(option, typed)
        words.append(f"{option}={'FILE' if value == 'FILE' else repr(value)}")
    return f"phosphene.load({', '.join(words)})"


def format_recipe(recipe: Mapping[str, Any]) -> str:
    """The Python expression of a recipe: a preset with changes where that gives it, else all of its slots."""
    options = find_shortest_options(recipe)
    if options is None or not {"distribution", "views", "geometry"}.isdisjoint(options):
        return f"phosphene.Recipe.from_json(\n{pprint.pformat(dict(recipe), width=64)})"
    changes = ", ".join(f"{name}={value!r}" for name, value in options.items() if name != "preset")
    return f"dataclasses.replace(phosphene.PRESETS[{options['preset']!r}], {changes})"
