"""A finished scan: everything that the report shows and the JSON says, frozen."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from phosphene.core.constraints import Count, NonEmpty, NonNegative, Png, Probability
from phosphene.core.files import write_atomically
from phosphene.core.images import png_bytes
from phosphene.core.reading import RECORD_LIMIT, read_file
from phosphene.core.records import check_fields, from_plain, json_schema, open_seal, parse_json, seal, to_plain
from phosphene.errors import ArtifactError, DamagedArtifact
from phosphene.model.record import ModelRecord
from phosphene.scanner.against.record import Against
from phosphene.scanner.pictures import PicturesUsed
from phosphene.scanner.upgrade import upgrade_scan

FORMAT: Literal[2] = 2
VerdictName = Literal["backdoor-like", "suspicious", "natural weak spot", "nothing found", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """What a scan concludes, in words, and the exit code of the command."""

    name: VerdictName
    exit_code: int
    means: str


VERDICTS: dict[str, Verdict] = {
    verdict.name: verdict
    for verdict in (
        Verdict("backdoor-like", 1, "a class stands out as it does in at most 1 of 100 clean models"),
        Verdict("suspicious", 1, "a class stands out as it does in at most 5 of 100 clean models"),
        Verdict(
            "natural weak spot",
            3,
            "only in older records: a class is unusually easy to reach, but easy to leave too",
        ),
        Verdict("nothing found", 0, "no class stands out; this does not say that the model is clean"),
        Verdict(
            "inconclusive",
            3,
            "a class stands out among the others, but no clean models like this one are there to compare with",
        ),
    )
}


def title_class(index: int, name: str) -> str:
    """`7 ship`; `7` alone where the class has no other name."""
    return str(index) if name == str(index) else f"{index} {name}"


@dataclass(frozen=True)
class Named:
    """A class by index and name."""

    index: Count
    name: str

    @property
    def title(self) -> str:
        return title_class(self.index, self.name)


@dataclass(frozen=True)
class ClassEvidence:
    """One class among the others. `statistics` are raw, the bigger the more suspicious; `outliers` the same as
    distances from this model's own classes, in standard deviations of clean models; `score` fuses them."""

    index: Count
    name: str
    score: float
    statistics: Mapping[str, float]
    outliers: Mapping[str, float]
    depth: str  # the last stage that this class reached

    @property
    def title(self) -> str:
        return title_class(self.index, self.name)


@dataclass(frozen=True)
class Trigger:
    """The suspected trigger: what was found to send surrogate images to `target`, and how surely.

    Pictures are base64 PNG of the model's own size: `mask` grey, white where the trigger covers; `pattern` what it
    puts there (for families without a mask, grey plus the change); `example` and `stamped` one surrogate image
    without and with it. `box` is (left, top, right, bottom) of the mask's bounding box in pixels, or None.
    """

    target: Named
    family: str
    flip_rate: Probability
    size: NonNegative  # share of the area for a patch; root mean square change for all others
    box: tuple[int, int, int, int] | None
    mask: Png
    pattern: Png
    example: Png
    stamped: Png


@dataclass(frozen=True)
class Curve:
    """Flip rate to the target against stamped area, on fresh surrogates, beside its controls.

    `areas` are shares of the image; `series` has `trigger`, `shuffled in place` and `other classes`.
    """

    areas: tuple[Probability, ...]
    series: Mapping[str, tuple[Probability, ...]]


@dataclass(frozen=True)
class Pairs:
    """How easily images of class s (row) become class t (column): −log size of the smallest change; diagonal 0.

    `classes` names the rows and columns by index.
    """

    classes: tuple[Count, ...]
    easiness: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Stage:
    """A stage of the scan, how many classes reached it, and what it cost."""

    name: str
    classes: Count
    seconds: float
    passes: Count


@dataclass(frozen=True)
class Calibration:
    """The clean models that the external p-value compares with.

    `outside` says why there is no comparison; `left_out` which statistics are not compared, and why.
    """

    name: str
    models: Count
    outside: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class OwnClasses:
    """The p-value by the model's own classes, where no references speak for it and it has many.

    So many `classes` were each other's controls; the gaps of the highest `tail` of them were the unit; `assumes` says
    what the p-value rests on.
    """

    p_value: Probability
    classes: Count
    tail: Count
    assumes: str


@dataclass(frozen=True)
class Scan:
    """A finished scan of one image classifier for a backdoor, made without any data."""

    model: ModelRecord
    verdict: VerdictName
    p_value: Probability
    p_internal: Probability
    p_external: Probability | None
    target: Named | None
    classes: tuple[ClassEvidence, ...]  # in the order of the model's outputs
    absolutes: Mapping[str, float]  # statistics of the model as a whole, for what no comparison of classes can see
    score: float  # the fused score that the external p-value ranks; with `own_classes` that of the first class
    trigger: Trigger | None
    curve: Curve | None
    pairs: Pairs | None
    asymmetry: Mapping[str, float]
    stability: Mapping[str, float]
    stages: tuple[Stage, ...]
    checks: tuple[str, ...]
    not_covered: NonEmpty[str]
    calibration: Calibration
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    seconds: NonNegative
    passes: Count
    seed: int
    own_classes: OwnClasses | None = None  # None also in records that are older
    format: Literal[2] = FORMAT
    against: Against | None = None  # what a base adds, where one was given
    images: PicturesUsed | None = None  # clean pictures, where some were given

    @property
    def exit_code(self) -> int:
        return VERDICTS[self.verdict].exit_code

    def ranking(self) -> list[ClassEvidence]:
        """The classes, most suspicious first."""
        return sorted(self.classes, key=lambda one: -one.score)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as `schema` describes it, and its digest."""
        plain: dict[str, Any] = json.loads(json.dumps(to_plain(self), allow_nan=False))
        return seal(plain)

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Scan:
        """The inverse of `to_json`; also of that of phosphene 0.1. Raises `ValueError` where it is no scan."""
        json.dumps(record, allow_nan=False)  # raises `ValueError`: a scan has finite numbers
        content, number = open_seal(record), record.get("format")
        if number not in (1, FORMAT):
            raise ValueError(f"its format is {number!r}; this version reads formats 1 and {FORMAT}")
        if number == 1:
            return from_plain(Scan, upgrade_scan(content))
        check_fields(Scan, content)
        return from_plain(Scan, content)

    def save(self, path: str | Path) -> None:
        write_atomically(Path(path), (json.dumps(self.to_json(), indent=2) + "\n").encode())

    @staticmethod
    def load(path: Path) -> Scan:
        """A scan that `save` or `phosphene scan --json` wrote."""
        try:
            return Scan.from_json(parse_json(read_file(path, RECORD_LIMIT)))
        except OSError as error:
            raise ArtifactError(f"cannot read {str(path)!r}: {error.strerror}; expected the JSON of a scan") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedArtifact(
                f"{str(path)!r} is no scan: {type(error).__name__} {error}; expected what `phosphene scan --json` "
                f"prints"
            ) from error


def encode_picture(image: Tensor) -> str:
    """Base64 PNG of an image (C,H,W) or (H,W) in [0,1]."""
    return base64.b64encode(png_bytes(image)).decode()


def schema() -> dict[str, Any]:
    """The JSON schema of a scan, generated from its types."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **json_schema(Scan)}
