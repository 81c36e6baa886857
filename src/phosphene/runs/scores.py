"""What was measured about one finished map; docs/numbers.md says what each number means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from phosphene.method.fidelity import Fidelity
from phosphene.recipe.concepts import Origin


@dataclass(frozen=True)
class Guess:
    """A class that a model sees in a picture, with its probability in [0,1]."""

    index: int
    name: str
    probability: float


@dataclass(frozen=True)
class Opinion:
    """What another model with the same classes calls the bare picture.

    `top1` and `log_probability` are of the map's concept; None for a channel, which no other model has. `fingerprint`
    is that of the verifier's weights, empty in artifacts of version 0.1.
    """

    model: str
    top1: bool | None
    log_probability: float | None
    top5: tuple[Guess, ...]
    fingerprint: str = ""


@dataclass(frozen=True)
class PictureScore:
    """What the model itself makes of the bare pictures, without noise and views: how probable the concept is, and
    whether it is seen, as `Fidelity` has it of one draw; of the unrefined picture, then of the refined one."""

    probability: float
    seen: bool
    refined_probability: float
    refined_seen: bool


@dataclass(frozen=True)
class MaskScore:
    """The layer that the mask comes from (None: no mask kept the fidelity), and the share of the area that it keeps."""

    layer: str | None
    area: float


@dataclass(frozen=True)
class ChannelScore:
    """How far the map raises a channel, in deviations of what the channel does on noise: with the map, refined, and
    without it. Of a direction `channels` is empty, and `direction` says where it comes from."""

    layer: str
    channels: tuple[int, ...]
    deviations: float
    refined: float
    without_map: float
    active_above: float
    direction: Origin | None = None


@dataclass(frozen=True)
class Scores:
    """`fidelity` is on the recipe's own distribution, `fidelity_elsewhere` on distributions that the estimate never
    saw, by name. `scale` is the factor between map and picture, `restarts` how often the map was started in all,
    `views_kept` the share of the recipe's views that it was made with and its fidelity is measured under: less than 1
    where with all of them the model did not see it; `kept_start` is the number of the start that the map is from: all
    after the first were made at full size throughout and with the gradient as it is.
    `evidence` holds the entries of `phosphene evaluate` by measure, as plain JSON."""

    fidelity: Fidelity
    fidelity_elsewhere: Mapping[str, Fidelity]
    refined_fidelity: Fidelity
    refinement: MaskScore
    top5: tuple[Guess, ...]
    top5_refined: tuple[Guess, ...]
    scale: float
    restarts: int = 1
    views_kept: float = 1.0
    kept_start: int = 1
    opinions: tuple[Opinion, ...] = ()
    channel: ChannelScore | None = None
    bare_pictures: PictureScore | None = None  # None in artifacts of version 0.1
    evidence: Mapping[str, Any] = field(default_factory=dict)


def upgrade_scores(record: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of an artifact of format 1 (version 0.1) as they are written today."""
    renamed = {"attempts": "restarts", "verifiers": "opinions"}
    upgraded = {renamed.get(name, name): value for name, value in record.items()}
    elsewhere = dict(upgraded.pop("fidelity"))
    return {**upgraded, "fidelity": elsewhere.pop("own"), "fidelity_elsewhere": elsewhere}
