"""How to make a map again: the command line and the Python lines that lead to its recipe."""

from __future__ import annotations

import pprint
import shlex
from collections.abc import Mapping
from typing import Any

from phosphene.model.record import ModelRecord
from phosphene.model.sources.bundled import BUNDLED
from phosphene.model.sources.registry import FAMILIES
from phosphene.recipe.distributions import DISTRIBUTIONS, Folder
from phosphene.recipe.geometries import GEOMETRIES
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import VIEWS
from phosphene.runs.saliency import SaliencyMap

PLAIN = (
    "seed",
    "iterations",
    "composition",
    "score",
    "samples",
    "nudge_steps",
    "restarts",
    "coarse",
)  # fields that have an option of their own


def command(saliency: SaliencyMap) -> str | None:
    """The `phosphene map` line that makes the map again; None where options cannot say its model or recipe."""
    named, options = source(saliency.model), shortest_options(saliency.recipe)
    if named is None or options is None:
        return None
    words = [f"phosphene map {named} {shlex.quote(concept_words(saliency))}"]
    words += [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in options.items()]
    words += [f"--verifier {shlex.quote(seen.model)}" for seen in saliency.scores.opinions]
    return " \\\n  ".join([*words, "--out again"])


def snippet(saliency: SaliencyMap) -> str:
    """The same in Python; it can say every recipe."""
    recipe = recipe_call(saliency.recipe)
    return "\n".join([
        *(["import dataclasses", ""] if recipe.startswith("dataclasses") else []),
        "import phosphene", "",
        f"classifier = {load_call(saliency.model)}",
        f"assert classifier.fingerprint.startswith({saliency.model.fingerprint[:12]!r})",
        f"recipe = {recipe}",
        f"[saliency] = phosphene.make_maps(classifier, [{concept_words(saliency)!r}], recipe)",
    ])  # fmt: skip


def concept_words(saliency: SaliencyMap) -> str:
    """What to type for the concept: its name, or its index where several classes share the name."""
    index = saliency.index
    return str(index) if saliency.concept.endswith(f"({index})") else saliency.concept


def shortest_options(recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """The preset and the fewest options that make exactly this recipe, or None."""
    found = [options for name in PRESETS if (options := _options_from(name, recipe)) is not None]
    return min(found, key=len, default=None)


def _options_from(name: str, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    made = PRESETS[name].to_json()
    options = {field: wanted.get(field) for field in PLAIN if made[field] != wanted.get(field)}
    made |= options
    for slot in ("distribution", "views", "geometry"):
        if made[slot] != wanted.get(slot):
            options[slot], made[slot] = _by_name(slot, wanted.get(slot))
    return {"preset": name, "seed": wanted.get("seed"), **options} if made == wanted else None


def _by_name(slot: str, record: Any) -> tuple[str, Any]:
    """What the command line calls a distribution or geometry, and the record that this word leads to."""
    kind = record.get("kind", "") if isinstance(record, Mapping) else ""
    if slot == "distribution" and kind == "folder":
        return f"folder:{record['path']}", Recipe(distribution=Folder(record["path"])).to_json()[slot]
    if slot == "distribution" and kind in DISTRIBUTIONS:
        return kind, Recipe(distribution=DISTRIBUTIONS[kind]()).to_json()[slot]
    if slot == "views":
        known = {name: Recipe(views=views).to_json()[slot] for name, views in VIEWS.items()}
        return next(((name, view) for name, view in known.items() if view == record), ("", None))
    if slot == "geometry" and kind in GEOMETRIES:
        return kind, Recipe(geometry=GEOMETRIES[kind]()).to_json()[slot]
    return "", None


def source(model: ModelRecord) -> str | None:
    """The words that name the model on the command line; None for one that exists in Python only."""
    name, form = model.name, model.input
    if _is_known(name):
        return shlex.quote(name)
    if ":" not in name or len(set(form.size)) > 1:
        return None
    mean, std = (",".join(f"{value:g}" for value in values) for values in (form.mean, form.std))
    return (
        f"--factory {shlex.quote(name)} --weights FILE --size {form.size[0]} --channels {form.channels} "
        f"--mean {mean} --std {std}"
    )


def _is_known(name: str) -> bool:
    return name in BUNDLED or name.partition(":")[0] in FAMILIES


def load_call(model: ModelRecord) -> str:
    """The Python expression that loads the model, with FILE or YOUR_MODULE where only its owner knows what to put."""
    name, form = model.name, model.input
    if _is_known(name):
        return f"phosphene.load({name!r})"
    how = f"size={form.size}, channels={form.channels}, mean={form.mean}, std={form.std}"
    if ":" in name:
        return f"phosphene.load(factory={name!r}, weights=FILE, {how})"
    return f"phosphene.Classifier(YOUR_MODULE, phosphene.InputFormat({how}), name={name!r})"


def recipe_call(recipe: Mapping[str, Any]) -> str:
    """The Python expression of a recipe: a preset with changes where that says it, else all of its slots."""
    options = shortest_options(recipe)
    if options is None or not {"distribution", "views", "geometry"}.isdisjoint(options):
        return f"phosphene.Recipe.from_json(\n{pprint.pformat(dict(recipe), width=64)})"
    changes = ", ".join(f"{name}={value!r}" for name, value in options.items() if name != "preset")
    return f"dataclasses.replace(phosphene.PRESETS[{options['preset']!r}], {changes})"
