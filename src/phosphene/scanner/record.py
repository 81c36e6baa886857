"""A finished scan: everything the report shows and the JSON says, frozen.

`Scan.to_json` follows `schema.json`, which lies beside this file; `Scan.from_json` reads it back.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from phosphene.core.files import write_atomically
from phosphene.core.images import png_bytes
from phosphene.errors import ArtifactError, DamagedArtifact

FORMAT = 1


@dataclass(frozen=True)
class Verdict:
    """What a scan concludes, in words, and the exit code of the command."""

    name: str
    exit_code: int
    means: str


VERDICTS: dict[str, Verdict] = {
    verdict.name: verdict
    for verdict in (
        Verdict("backdoor-like", 1, "a class stands out as it does in at most 1 of 100 clean models"),
        Verdict("suspicious", 1, "a class stands out as it does in at most 5 of 100 clean models"),
        Verdict(
            "natural weak spot", 3,
            "a class is unusually easy to reach, but it is easy to leave too: classes that look alike",
        ),
        Verdict("nothing found", 0, "no class stands out; this does not say that the model is clean"),
        Verdict(
            "inconclusive", 3,
            "a class stands out among the others, but no clean models like this one are there to compare with",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Named:
    """A class by index and name."""

    index: int
    name: str


@dataclass(frozen=True)
class ClassEvidence:
    """One class among the others. `statistics` are raw, the bigger the more suspicious; `outliers` the same as
    distances from this model's own classes, in standard deviations of clean models; `score` fuses them."""

    index: int
    name: str
    score: float
    statistics: Mapping[str, float]
    outliers: Mapping[str, float]
    depth: str  # the last stage that this class reached

    def to_json(self) -> dict[str, Any]:
        own = {"index": self.index, "name": self.name, "score": self.score, "depth": self.depth}
        return own | dict(self.statistics) | {"outliers": dict(self.outliers)}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> ClassEvidence:
        own = {name: record[name] for name in ("index", "name", "score", "depth", "outliers")}
        return ClassEvidence(**own, statistics={name: value for name, value in record.items() if name not in own})


@dataclass(frozen=True)
class Trigger:
    """The suspected trigger: what was found to send surrogate images to `target`, and how surely.

    Pictures are base64 PNG of the model's own size: `mask` grey, white where the trigger covers; `pattern` what it
    puts there (for families without a mask, grey plus the change); `example` and `stamped` one surrogate image
    without and with it. `box` is (left, top, right, bottom) of the mask's bounding box in pixels, or None.
    """

    target: Named
    family: str
    flip_rate: float
    size: float  # share of the area for a patch; root mean square change for all others
    box: tuple[int, int, int, int] | None
    mask: str
    pattern: str
    example: str
    stamped: str


@dataclass(frozen=True)
class Curve:
    """Flip rate to the target against stamped area, on fresh surrogate backgrounds, beside its controls.

    `areas` are shares of the image; `series` has `trigger`, `shuffled in place` and `other classes`.
    """

    areas: tuple[float, ...]
    series: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Pairs:
    """How easily images of class s (row) become class t (column): −log size of the smallest change; diagonal 0.

    `classes` names the rows and columns by index. `source` is set where one pair alone stands out.
    """

    classes: tuple[int, ...]
    easiness: tuple[tuple[float, ...], ...]
    source: Named | None


@dataclass(frozen=True)
class Stage:
    """A stage of the scan, how many classes reached it, and what it cost."""

    name: str
    classes: int
    seconds: float
    passes: int


@dataclass(frozen=True)
class Calibration:
    """The clean models that the external p-value compares with, and what of this model lies outside their range."""

    name: str
    models: int
    outside: tuple[str, ...]


@dataclass(frozen=True)
class Scan:
    """What was found out about one model, without any data."""

    model: Mapping[str, Any]
    verdict: str
    p_value: float
    p_internal: float
    p_external: float | None
    target: Named | None
    targets: tuple[Named, ...]
    classes: tuple[ClassEvidence, ...]  # in the order of the model's outputs
    absolutes: Mapping[str, float]  # statistics of the model as a whole, for what no comparison of classes can see
    score: float  # the fused score that the external p-value ranks
    trigger: Trigger | None
    curve: Curve | None
    pairs: Pairs | None
    asymmetry: Mapping[str, float]
    stability: Mapping[str, float]
    stages: tuple[Stage, ...]
    checks: tuple[str, ...]
    not_covered: tuple[str, ...]
    calibration: Calibration
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    seconds: float
    passes: int
    seed: int
    format: int = field(default=FORMAT)

    @property
    def exit_code(self) -> int:
        return VERDICTS[self.verdict].exit_code

    def ranking(self) -> list[ClassEvidence]:
        """The classes, most suspicious first."""
        return sorted(self.classes, key=lambda one: -one.score)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as `schema.json` describes it."""
        record = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        record["classes"] = [one.to_json() for one in self.classes]
        for name in ("target", "trigger", "curve", "pairs", "calibration"):
            record[name] = None if record[name] is None else asdict(record[name])
        for name in ("targets", "stages"):
            record[name] = [asdict(one) for one in record[name]]
        plain: dict[str, Any] = json.loads(json.dumps(record, allow_nan=False))
        return plain

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Scan:
        """The inverse of `to_json`."""
        given = dict(record)
        given["classes"] = tuple(map(ClassEvidence.from_json, record["classes"]))
        given["target"] = _named(record["target"])
        given["targets"] = tuple(Named(**one) for one in record["targets"])
        given["stages"] = tuple(Stage(**one) for one in record["stages"])
        given["trigger"] = _trigger(record["trigger"])
        given["curve"] = _curve(record["curve"])
        given["pairs"] = _pairs(record["pairs"])
        given["calibration"] = Calibration(
            **{**record["calibration"], "outside": tuple(record["calibration"]["outside"])}
        )
        given["checks"], given["not_covered"] = tuple(record["checks"]), tuple(record["not_covered"])
        return Scan(**given)

    def save(self, path: str | Path) -> None:
        write_atomically(Path(path), (json.dumps(self.to_json(), indent=2) + "\n").encode())

    @staticmethod
    def load(path: Path) -> Scan:
        """A scan that `save` or `phosphene scan --json` wrote."""
        try:
            return Scan.from_json(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ArtifactError(f"cannot read {str(path)!r}: {error.strerror}; expected the JSON of a scan") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedArtifact(
                f"{str(path)!r} is no scan: {error}; expected what `phosphene scan --json` prints"
            ) from error


def picture(image: Tensor) -> str:
    """Base64 PNG of an image (C,H,W) or (H,W) in [0,1]."""
    return base64.b64encode(png_bytes(image)).decode()


def schema() -> dict[str, Any]:
    """The JSON schema of a scan."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return content


def _named(record: Mapping[str, Any] | None) -> Named | None:
    return None if record is None else Named(**record)


def _trigger(record: Mapping[str, Any] | None) -> Trigger | None:
    if record is None:
        return None
    box = None if record["box"] is None else tuple(record["box"])
    return Trigger(**{**record, "target": Named(**record["target"]), "box": box})


def _curve(record: Mapping[str, Any] | None) -> Curve | None:
    if record is None:
        return None
    return Curve(tuple(record["areas"]), {name: tuple(rates) for name, rates in record["series"].items()})


def _pairs(record: Mapping[str, Any] | None) -> Pairs | None:
    if record is None:
        return None
    rows: Sequence[Sequence[float]] = record["easiness"]
    return Pairs(tuple(record["classes"]), tuple(tuple(row) for row in rows), _named(record["source"]))
