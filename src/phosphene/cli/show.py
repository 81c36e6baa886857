"""`phosphene show`: the recipe and the scores of one map."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phosphene.cli.options import Json
from phosphene.cli.terminal import echo
from phosphene.core.text import make_one_line

if TYPE_CHECKING:
    from phosphene.method.fidelity import Fidelity
    from phosphene.runs.saliency import SaliencyMap
    from phosphene.runs.scores import Guess, Scores

FACTS = ("concept", "index", "targets", "model", "recipe", "scores", "checks", "versions", "passes", "seconds")


def run_show(file: Annotated[Path, typer.Argument(help="A .safetensors map.")], as_json: Json = False) -> None:
    """Print the recipe and the scores of one map."""
    from phosphene.runs.saliency import SaliencyMap

    saliency = SaliencyMap.load(file)
    if as_json:
        facts = {**saliency.facts(), "index": saliency.index}
        echo(json.dumps({name: facts[name] for name in FACTS}, indent=2))
    else:
        rows = list_facts(saliency)
        echo("\n".join(make_one_line(f"{name:24} {value}") for name, value in rows.items()))


def list_facts(saliency: SaliencyMap) -> dict[str, Any]:
    """What is known of a map, in the order in which it is read."""
    return {
        "concept": saliency.concept,
        "classes": ", ".join(map(str, saliency.targets)),
        "model": f"{saliency.model.name} {saliency.model.fingerprint[:12]}",
        "passes": f"{saliency.passes} in {saliency.seconds} s",
        "checks": ", ".join(saliency.checks) or "none raised",
        **list_scores(saliency.scores, saliency.model.output_kind),
        **list_evidence(saliency.scores.evidence),
        **{f"recipe {name}": value for name, value in saliency.recipe.items()},
    }


def list_scores(scores: Scores, output_kind: str) -> dict[str, str]:
    from phosphene.runs.wording import name_fidelity

    words = name_fidelity(scores, output_kind)
    elsewhere = {f"fidelity on {name}": format_fidelity(one, words) for name, one in scores.fidelity_elsewhere.items()}
    return {
        "fidelity": format_fidelity(scores.fidelity, words),
        **elsewhere,
        "fidelity refined": format_fidelity(scores.refined_fidelity, words),
        **list_picture(scores),
        "restarts": str(scores.restarts),
        "views kept": f"{scores.views_kept:.0%}",
        "kept start": str(scores.kept_start),
        "top-5": format_guesses(scores.top5),
        **{opinion.model: format_guesses(opinion.top5) for opinion in scores.opinions},
    }


def list_evidence(evidence: Mapping[str, Any]) -> dict[str, str]:
    from phosphene.evidence.results import make_map_table

    return {name.text: f"{value.text} ({beside.text})" for name, value, beside in make_map_table(evidence).rows}


def list_picture(scores: Scores) -> dict[str, str]:
    """What the model itself makes of the bare pictures; nothing of artifacts that were not asked."""
    if (picture := scores.bare_pictures) is None:
        return {}
    refined = format_seen(picture.refined_probability, picture.refined_seen)
    return {"bare picture": format_seen(picture.probability, picture.seen), "bare picture refined": refined}


def format_seen(share: float, seen: bool) -> str:
    return f"{'seen' if seen else 'not seen'}, {share:.3f}"


def format_fidelity(fidelity: Fidelity, words: tuple[str, str] = ("p", "top-1")) -> str:
    return f"{words[0]} {fidelity.probability:.3f}, {words[1]} {fidelity.top1:.0%}"


def format_guesses(guesses: Sequence[Guess]) -> str:
    return ", ".join(f"{guess.name} {guess.probability:.2f}" for guess in guesses)
