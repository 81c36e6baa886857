"""Are the p-values of clean models uniform? A table, and the share of them up to each p beside what it should be."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.scoring.runs import Run
from benchmarks.scoring.statistics import chance_distance, kolmogorov
from benchmarks.scoring.tables import Row, Runs, share
from phosphene.core.files import write_atomically

FIELDS = ("architecture", "domain")
SIZE, DPI = (4.6, 4.6), 110  # of the picture, inches and dots an inch


def tabulate(runs: Runs) -> list[Row]:
    """Of all clean models, and of those of each architecture and domain."""
    clean = list_clean(runs)
    groups = {"all": clean} | {
        f"{field} {value}": [run for run in clean if getattr(run, field) == value]
        for field in FIELDS
        for value in sorted({getattr(run, field) for run in clean})
    }
    return [_tabulate_group(name, some) for name, some in groups.items() if some]


def _tabulate_group(name: str, runs: Sequence[Run]) -> Row:
    return {
        "clean models": name,
        "p ≤ .05": share(runs, lambda run: p_of(run) <= 0.05),
        "p ≤ .01": share(runs, lambda run: p_of(run) <= 0.01),
        "distance from uniform": kolmogorov([p_of(run) for run in runs]),
    }


def list_clean(runs: Runs) -> list[Run]:
    return [run for run in runs.values() if not run.poisoned and run.p_value is not None]


def p_of(run: Run) -> float:
    return 1.0 if run.p_value is None else run.p_value


def draw(runs: Runs, split: str, path: Path) -> None:
    """The shares of clean models with at most each p, in the band that uniform ones leave in 5% of such samples."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    p_values = np.sort([p_of(run) for run in list_clean(runs)])
    if not len(p_values):
        return
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axis, line, room = figure.subplots(), np.linspace(0, 1, 101), chance_distance(len(p_values))
    band = [(line + side * room).clip(0, 1) for side in (-1, 1)]
    axis.fill_between(line, *band, color="0.9", label="95% of uniform samples")
    axis.plot(line, line, color="0.6", linewidth=1, label="uniform")
    heights = np.arange(len(p_values) + 1) / len(p_values)
    axis.step([0, *p_values, 1], [*heights, 1], where="post", color="#3a4fb8", label=f"{len(p_values)} clean models")
    axis.axvline(0.05, color="#c0392b", linewidth=0.8, linestyle=":")
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="p", ylabel="share of clean models with at most this p", aspect="equal")
    axis.set_title(f"p-values of clean models, {split} split", fontsize=10)
    axis.legend(loc="lower right", fontsize=8, frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    write_atomically(path, stream.getvalue())
