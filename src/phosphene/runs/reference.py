"""A finished map by its path and a few numbers, so that a thousand need no more memory than eight."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.scores import Scores


@dataclass(frozen=True)
class MapReference:
    """What is known of a finished map without its tensors; `load` reads them."""

    concept: str
    targets: tuple[int, ...]
    path: Path
    scores: Scores
    checks: tuple[str, ...]
    passes: int
    seconds: float
    output_kind: str = "softmax"

    @staticmethod
    def to(saliency: SaliencyMap, path: Path) -> MapReference:
        return MapReference(
            concept=saliency.concept,
            targets=saliency.targets,
            path=path,
            scores=saliency.scores,
            checks=saliency.checks,
            passes=saliency.passes,
            seconds=saliency.seconds,
            output_kind=saliency.model.output_kind,
        )

    @property
    def index(self) -> int | None:
        """The class index where the concept is one class."""
        return self.targets[0] if len(self.targets) == 1 else None

    @property
    def picture(self) -> Path:
        """Where its PNG lies."""
        return self.path.with_suffix(".png")

    def load(self) -> SaliencyMap:
        """The map with its tensors; raises `DamagedArtifact` where the file is not what was written."""
        return SaliencyMap.load(self.path)
