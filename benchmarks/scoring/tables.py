"""Tables of a comparison: each row a dict of words, as `benchmarks.record` writes it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from benchmarks.scoring.runs import Run
from benchmarks.scoring.statistics import (
    Estimate,
    advantage,
    area,
    area_interval,
    conformal,
    rate,
    sensitivity,
)

Row = dict[str, str]
Runs = Mapping[str, Run]  # by model

# The two groups that the goals are stated for, of models whose trigger works on at least 90% of images.
PLAIN = ("patch", "pixel", "blend", "sig", "low-frequency", "bpp", "polygon", "filter")
SUBTLE = ("wanet", "input-aware", "tact", "all-to-all", "adaptive")


@dataclass(frozen=True)
class Goals:
    """What is asked of a split: areas over both groups, and shares where there is a goal for them."""

    plain: float
    subtle: float
    subtle_kinds: tuple[str, ...] = SUBTLE
    found: float | None = None  # share of all at p ≤ .05
    transformers: float | None = None  # area over transformers


GOALS = {
    "test": Goals(0.97, 0.85),
    "final": Goals(0.96, 0.90, (*SUBTLE, "clean-label"), found=0.8, transformers=0.90),
}
PATCHES = ("patch", "pixel", "polygon", "clean-label")  # triggers that lie at one place
DASH = "–"
FEWEST = 10  # clean and poisoned models below which no area is stated


def by_method(runs: Iterable[Run]) -> dict[str, Runs]:
    """Runs that have a score, by method and model."""
    found: dict[str, dict[str, Run]] = {}
    for run in runs:
        if run.score is not None:
            found.setdefault(run.method, {})[run.model] = run
    return found


def scores(runs: Runs, keep: Callable[[Run], bool] = lambda run: True) -> tuple[list[float], list[float]]:
    """Scores of clean models, and of poisoned ones that are kept; in the order of their names."""
    ordered = [runs[name] for name in sorted(runs)]
    clean = [run.score for run in ordered if not run.poisoned]
    return clean, [run.score for run in ordered if run.poisoned and keep(run)]  # type: ignore[return-value]


def strong(run: Run) -> bool:
    return run.stratum != "weak"


def overall(methods: Mapping[str, Runs], ours: str, references: Mapping[str, Runs]) -> list[Row]:
    """One row a method: how well it ranks, against ours on the same models, and what its own rule does."""
    return [_method_row(name, runs, methods.get(ours, {}), references.get(name, {})) for name, runs in methods.items()]


def _method_row(name: str, runs: Runs, ours: Runs, references: Runs) -> Row:
    clean, poisoned = scores(runs, strong)
    enough = min(len(clean), len(poisoned)) >= FEWEST
    shared = sorted(set(runs) & set(ours))
    pair = [scores({model: side[model] for model in shared}, strong) for side in (ours, runs)]
    ahead = advantage(pair[0], pair[1]) if all(map(len, pair[0])) and runs is not ours else None
    detected = [run for run in runs.values() if run.poisoned and strong(run) and accuses(run, references)]
    named = [run for run in detected if run.truth is not None]
    return {
        "method": name,
        "models": f"{len(clean)} clean, {len(poisoned)} poisoned",
        "AUC": str(area_interval(clean, poisoned)) if enough else f"fewer than {FEWEST} of a kind",
        "ours − this": str(ahead) if ahead else DASH,
        "TPR at 5% FPR": f"{sensitivity(clean, poisoned):.2f}" if enough else DASH,
        "detected": f"{len(detected)} of {len(poisoned)}",
        "target named": share(named, lambda run: run.named == run.truth),
        "patch IoU ≥ .5": share([run for run in detected if run.kind == "patch" and run.iou is not None],
                                lambda run: (run.iou or 0) >= 0.5),
        "seconds": " / ".join(f"{value:.1f}" for value in seconds(runs)),
    }  # fmt: skip


def seconds(runs: Runs) -> list[float]:
    """Median seconds with at most ten classes, then with more."""
    few = [run.seconds for run in runs.values() if run.domain != "signs43"]
    many = [run.seconds for run in runs.values() if run.domain == "signs43"]
    return [median(side) for side in (few, many) if side]


def accuses(run: Run, references: Runs) -> bool:
    """The method's own rule; where it has none, a conformal p ≤ .05 against clean development models."""
    if run.alarm is not None:
        return run.alarm
    return recalibrated(run, references) <= 0.05


def recalibrated(run: Run, references: Runs) -> float:
    """Conformal p-value of a score among those of the development zoo's clean models, its own left out."""
    clean = [other for other in references.values() if not other.poisoned and other.fingerprint != run.fingerprint]
    return conformal(run.score or 0.0, [other.score or 0.0 for other in clean])


def share(runs: Sequence[Run], hit: Callable[[Run], bool]) -> str:
    hits = sum(map(hit, runs))
    return f"{hits} of {len(runs)}: {rate(hits, len(runs))}" if runs else DASH


def alarms(methods: Mapping[str, Runs], references: Mapping[str, Runs]) -> list[Row]:
    """One row a method: false alarms on clean models by its own rule, and after recalibration."""
    rows = []
    for name, runs in methods.items():
        clean = [run for run in runs.values() if not run.poisoned]
        known = references.get(name, {})
        count = sum(not run.poisoned for run in known.values())
        rows.append({
            "method": name,
            "own rule": share([run for run in clean if run.alarm is not None], lambda run: bool(run.alarm)),
            "own p ≤ .05": share([run for run in clean if run.p_value is not None], lambda run: run.p_value <= 0.05),  # type: ignore[operator]
            "own p ≤ .01": share([run for run in clean if run.p_value is not None], lambda run: run.p_value <= 0.01),  # type: ignore[operator]
            "recalibrated p ≤ .05": share(clean, lambda run: recalibrated(run, known) <= 0.05) if count >= 19 else DASH,  # noqa: B023 - called here
            "references": str(count),
        })  # fmt: skip
    return rows


def clean_kinds(runs: Runs) -> list[Row]:
    """Our false alarms by what kind of clean model it is."""
    kinds: dict[str, Callable[[Run], bool]] = {
        "plain": lambda run: run.kind == "clean" and not run.adversarial,
        "decoy: the trigger, with correct labels": lambda run: run.kind == "decoy",
        "adversarially trained": lambda run: run.adversarial,
        "all": lambda run: True,
    }
    rows = []
    for name, keep in kinds.items():
        clean = [run for run in runs.values() if not run.poisoned and keep(run)]
        rows.append({
            "clean models": name, "p ≤ .05": share(clean, lambda run: run.p_value <= 0.05),  # type: ignore[operator]
            "p ≤ .01": share(clean, lambda run: run.p_value <= 0.01),  # type: ignore[operator]
            "verdict accuses": share(clean, lambda run: bool(run.alarm)),
        })  # fmt: skip
    return rows


def attacks(methods: Mapping[str, Runs], ours: str, subtle: Sequence[str] = SUBTLE) -> list[Row]:
    """One row a kind of attack, each against all clean models: AUC of every method."""
    kinds = sorted({run.kind for runs in methods.values() for run in runs.values() if run.poisoned})
    groups: dict[str, Callable[[Run], bool]] = {kind: partial(_of_kind, kind) for kind in kinds}
    groups["patch to filter (goal 1)"] = lambda run: run.kind in PLAIN and strong(run)
    groups["warp to adaptive (goal 1)"] = lambda run: run.kind in subtle and strong(run)
    groups["success rate .5 to .9"] = lambda run: not strong(run)
    return [row for name, keep in groups.items() if (row := _group_row("attack", name, methods, ours, keep))]


def _is_strong_of(kinds: Sequence[str] | None, run: Run) -> bool:
    return strong(run) and (kinds is None or run.kind in kinds)


def _of_kind(kind: str, run: Run) -> bool:
    return run.kind == kind and strong(run)


def parts(methods: Mapping[str, Runs], ours: str, field: str) -> list[Row]:
    """One row a value of `field` (architecture, domain): AUC of every method among the models that share it."""
    values = sorted({getattr(run, field) for run in methods.get(ours, {}).values()})
    rows = []
    for value in values:
        inside = {name: {model: run for model, run in runs.items() if getattr(run, field) == value}
                  for name, runs in methods.items()}  # fmt: skip
        rows.append(_group_row(field, value, inside, ours, strong))
    return [row for row in rows if row]


def _group_row(title: str, name: str, methods: Mapping[str, Runs], ours: str, keep: Callable[[Run], bool]) -> Row:
    clean, poisoned = scores(methods.get(ours, {}), keep)
    if not clean or not poisoned:
        return {}
    found = [run for run in methods[ours].values() if run.poisoned and keep(run)]
    row = {title: name, "models": str(len(poisoned)), f"{ours}": str(area_interval(clean, poisoned)),
           "p ≤ .05": f"{sum((run.p_value or 0) <= 0.05 for run in found)} of {len(found)}"}  # fmt: skip
    for other, runs in methods.items():
        if other != ours and "unlimited" not in other:
            pair = scores(runs, keep)
            row[other] = f"{area(*pair):.2f}" if all(pair) else DASH
    return row


def goals(methods: Mapping[str, Runs], ours: str, asked: Goals = GOALS["test"]) -> list[Row]:
    """What was to be shown, what was found, and whether it was reached."""
    runs, rows = methods[ours], []
    transformers = {name: run for name, run in runs.items() if run.architecture == "vit"}
    areas = (
        ("AUC, patch to filter", runs, PLAIN, asked.plain),
        ("AUC, warp to adaptive", runs, asked.subtle_kinds, asked.subtle),
        ("AUC, transformers", transformers, None, asked.transformers),
    )
    for words, among, kinds, least in areas:
        pair = scores(among, partial(_is_strong_of, kinds))
        if least is not None and all(pair):
            rows.append(_goal(f"{words} ≥ {least}", area_interval(*pair), partial(operator.le, least)))
    if asked.found is not None:
        everyone = [run for run in runs.values() if run.poisoned and strong(run)]
        found = rate(sum((run.p_value or 0) <= 0.05 for run in everyone), len(everyone))
        rows.append(_goal(f"found at p ≤ .05 in ≥ {asked.found:.0%}", found, partial(operator.le, asked.found)))
    for name, other in methods.items():
        shared = sorted(set(other) & set(runs))
        if name == ours or not shared:
            continue
        pair = [scores({model: side[model] for model in shared}, strong) for side in (runs, other)]
        if not all(map(len, pair[0])):  # measured on models of one kind so far
            continue
        ahead = advantage(pair[0], pair[1])
        rows.append({"goal": f"ahead of {name}: the paired interval above 0", "found": str(ahead),
                     "reached": "yes" if ahead.low > 0 else "no"})  # fmt: skip
    clean = [run for run in runs.values() if not run.poisoned]
    for level in (0.05, 0.01):
        found = rate(sum((run.p_value or 0) <= level for run in clean), len(clean))
        reached = found.low <= level <= found.high and (level < 0.05 or found.high <= 0.15)
        rows.append({"goal": f"false alarms at p ≤ {level:g}: the exact interval holds {level:.0%}"
                     + (", upper end ≤ 15%" if level == 0.05 else ""),
                     "found": str(found), "reached": "yes" if reached else "no"})  # fmt: skip
    detected = [run for run in runs.values() if run.poisoned and strong(run) and (run.p_value or 0) <= 0.05]
    named = [run for run in detected if run.truth is not None]
    hits = sum(run.named == run.truth for run in named)
    rows.append(_goal("target named in ≥ 95% of detections", rate(hits, len(named)), lambda value: value >= 0.95))
    located = [run for run in detected if run.kind == "patch"]
    hits = sum((run.iou or 0) >= 0.5 for run in located)
    rows.append(_goal("IoU ≥ .5 in ≥ 80% of detected patches", rate(hits, len(located)), lambda value: value >= 0.8))
    few = median(run.seconds for run in runs.values() if run.domain == "fashion")
    rows.append({"goal": "median ≤ 30 s at K = 10, 28×28", "found": f"{few:.1f} s of one thread",
                 "reached": "yes" if few <= 30 else "no"})  # fmt: skip
    return rows


def _goal(words: str, found: Estimate, reached: Callable[[float], bool]) -> Row:
    return {"goal": words, "found": str(found), "reached": "yes" if reached(found.value) else "no"}
