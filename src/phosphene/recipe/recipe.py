"""A recipe is everything that decides a map besides the model and the concept; a preset is a recipe with a name.

It survives a round trip through JSON, which is how an artifact remembers how it was made and how a rerun knows that
nothing has to be done.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from phosphene.errors import BadInput
from phosphene.recipe.compositions import COMPOSITIONS
from phosphene.recipe.distributions import DISTRIBUTIONS, Distribution, Gaussian, Grey
from phosphene.recipe.geometries import GEOMETRIES, Geometry, Pixel, Spectral
from phosphene.recipe.scores import SCORES
from phosphene.recipe.views import STILL, Views


def constant(progress: float) -> float:
    """The same step throughout."""
    return 1.0


def cosine(progress: float) -> float:
    """From the full step down to nothing along half a cosine wave."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


NAMES_OF_0_1 = {
    "attempts": "restarts",
    "averaged": "average_last",
    "moments": "betas",
    "shared_scatter": "shared_scale",
}
LARGEST = 1e300  # of a number in a record, well below where an integer is no float any more
SCHEDULES: dict[str, Callable[[float], float]] = {"constant": constant, "cosine": cosine}


@dataclass(frozen=True)
class Recipe:
    """The slots of an estimate.

    `step` is in units of a coefficient; `betas` are the decays of first and second moment, `shared_scale` divides by
    one second moment a map instead of one a coefficient (a linear model's map is then its weight row, not the row's
    signs); `leak` and `residual` are what of a gradient gets through an activation whatever its input, and through a
    branch of a residual block (`phosphene.method.backward`; 0 and 1: the gradient as it is); `total_variation` is how
    long, beside the gradient of the score, that of the map's total variation is at the last iteration, growing from
    nothing at the first (`phosphene.method.total_variation`); `average_last` is the last share of the iterations whose
    mean is the map (0: the last point alone); `tolerance` is the ε of the refinement law; `restarts` is how often in
    all a map may be started that its own model does not see (`phosphene.method.restarts`); `coarse` is the first share
    of the iterations on images of half the side, where the model takes such (`phosphene.method.multires`).
    """

    distribution: Distribution = Grey()
    views: Views = Views()
    composition: str = "logit"
    score: str = "logit"
    geometry: Geometry = Spectral()
    iterations: int = 120
    step: float = 0.2
    schedule: str = "constant"
    samples: int = 1
    nudge_steps: int = 1
    betas: tuple[float, float] = (0.9, 0.99)
    shared_scale: bool = False
    leak: float = 0.0
    residual: float = 1.0
    total_variation: float = 0.0
    average_last: float = 0.5
    refine_every: int = 0
    tolerance: float = 0.05
    restarts: int = 1
    coarse: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        _require("iterations", self.iterations, self.iterations >= 1, "at least 1")
        _require("samples", self.samples, self.samples >= 1, "at least 1")
        _require("nudge_steps", self.nudge_steps, self.nudge_steps >= 1, "at least 1")
        _require("refine_every", self.refine_every, self.refine_every >= 0, "0 (only at the end) or more")
        _require("restarts", self.restarts, self.restarts >= 1, "at least 1")
        _require("coarse", self.coarse, 0 <= self.coarse < 1, "a share from 0 to below 1")
        _require("step", self.step, 0 < self.step < math.inf, "a positive number")
        _require("radius", self.geometry.radius, 0 < self.geometry.radius < math.inf, "a positive number")
        _require("tolerance", self.tolerance, 0 <= self.tolerance < 1, "a share between 0 and 1")
        _require("total_variation", self.total_variation, 0 <= self.total_variation < math.inf, "0 (none) or more")
        _require("leak", self.leak, 0 <= self.leak <= 1, "a share between 0 and 1")
        _require("residual", self.residual, 0 <= self.residual <= 1, "a share between 0 and 1")
        _require("betas", self.betas, all(0 <= beta < 1 for beta in self.betas), "two numbers in [0, 1)")
        _require("average_last", self.average_last, 0 <= self.average_last <= 1, "a share between 0 and 1")
        _require("composition", self.composition, self.composition in COMPOSITIONS, _one_of(COMPOSITIONS))
        _require("schedule", self.schedule, self.schedule in SCHEDULES, _one_of(SCHEDULES))
        _require("score", self.score, self.score in SCORES, _one_of(SCORES))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; the distribution and the geometry carry their registered names."""
        return _encode(self)

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_json`; also reads recipes of version 0.1. Raises `BadInput` for others, such as one with a
        distribution that is not registered here."""
        try:
            return Recipe(**{NAMES_OF_0_1.get(key, key): _decode(value) for key, value in record.items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"no recipe of this version: {type(error).__name__}: {str(error)[:80]}") from error


def check_record(record: Mapping[str, Any]) -> None:
    """Raise `BadInput` unless a record has the shape of a recipe's: it may be of a version with other slots, or name a
    distribution or geometry of somebody's own, but each slot holds what such a slot holds."""
    known = Recipe().to_json()
    for name, value in record.items():
        slot = NAMES_OF_0_1.get(name, name)
        if slot in known and not _is_like(value, known[slot]):
            raise BadInput(f"the slot {name} of its recipe holds {str(value)[:40]!r}")


def _is_like(value: Any, example: Any) -> bool:
    """Whether a slot may hold this: a number for a number, and of a known kind only what it can be made of."""
    if isinstance(example, dict):
        kind = value.get("kind") if isinstance(value, dict) else None
        return isinstance(kind, str) and (kind not in _registered() or _can_decode(value))
    if isinstance(example, (int, float)) and not isinstance(example, bool):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST
    return isinstance(value, type(example))


def _can_decode(value: dict[str, Any]) -> bool:
    try:
        _decode(value)
    except (KeyError, TypeError, ValueError, AttributeError, BadInput):
        return False
    return True


def _encode(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    fields = {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    kind = {registered: name for name, registered in _registered().items()}.get(type(value))
    return fields if kind is None else {"kind": kind, **fields}


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    return _registered()[value["kind"]](**{key: _decode(item) for key, item in value.items() if key != "kind"})


def _registered() -> dict[str, Callable[..., Any]]:
    """Looked up when needed, so that what a user adds to a registry is written and read like the rest."""
    return {**DISTRIBUTIONS, **GEOMETRIES, "views": Views}


def _require(name: str, got: object, holds: bool, expected: str) -> None:
    if not holds:
        raise BadInput(f"{name} is {got!r}; expected {expected}")


def _one_of(registry: dict[str, Any]) -> str:
    return f"one of {', '.join(registry)}"


# What others recognise too: gradients that reach inactive units and follow what many blocks agree on, one scale a map.
NATURAL = Recipe(
    score="half_margin",
    geometry=Spectral(gain=0.5, falloff=0.7, colour=(0.2, 0.1)),
    shared_scale=True,
    leak=0.1,
    residual=0.5,
    total_variation=0.2,
    average_last=0.65,
    restarts=5,
    coarse=0.7,
)
PRESETS: dict[str, Recipe] = {
    "default": replace(NATURAL, iterations=150),
    "fast": replace(NATURAL, iterations=100, restarts=1),
    "best": replace(NATURAL, iterations=400),
    "paper": Recipe(
        distribution=Gaussian(),
        views=STILL,
        composition="clip",
        score="half_margin",
        geometry=Pixel(radius=50.0),
        iterations=100,
        step=0.05,
        samples=4,
        betas=(0.9, 0.999),
        shared_scale=True,
        leak=0.1,
        residual=0.5,
        average_last=0.0,
        refine_every=50,
    ),
}
