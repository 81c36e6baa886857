"""The comparison's bookkeeping and tables on runs whose outcome is known; no model is touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.scoring import tables, uniformity
from benchmarks.scoring.runs import Run, append, missing, saved
from PIL import Image

OURS = "ours"


def made(number: int, *, poisoned: bool = False, method: str = OURS, score: float | None = 0.0, **given: object) -> Run:
    facts: dict[str, object] = {
        "model": f"m{number:03d}", "fingerprint": f"f{number:03d}", "method": method, "split": "test",
        "domain": "fashion", "architecture": "vgg", "kind": "patch" if poisoned else "clean",
        "stratum": "main" if poisoned else "clean", "poisoned": poisoned, "adversarial": False,
        "truth": 3 if poisoned else None, "seconds": 2.0, "score": score,
    }  # fmt: skip
    return Run(**(facts | given))  # type: ignore[arg-type]


def zoo(method: str, gap: float, **given: object) -> list[Run]:
    """Twenty clean models with scores 0 to 19, twenty poisoned ones `gap` higher."""
    clean = [made(k, method=method, score=float(k), p_value=0.5, alarm=False, **given) for k in range(20)]
    return clean + [
        made(20 + k, poisoned=True, method=method, score=k + gap, p_value=0.01, alarm=True, named=3, iou=0.6, **given)
        for k in range(20)
    ]


def rows_by(rows: list[dict[str, str]], key: str) -> dict[str, dict[str, str]]:
    return {row[key]: row for row in rows}


def test_runs_survive_a_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    append(path, made(1))
    with path.open("a") as file:
        file.write('{"model": "m002", "finger')
    append(path, made(3, score=None, aside="no linear layer"))
    assert [run.model for run in saved(path)] == ["m001", "m003"]
    assert saved(path)[1].aside == "no linear layer"


def test_only_what_is_missing_is_measured_and_a_new_measurement_replaces_the_old(tmp_path: Path) -> None:
    path, models = tmp_path / "runs.jsonl", [made(1), made(2)]
    append(path, made(1, score=1.0))
    todo = list(missing(models, {OURS: None, "other": None}, path))  # type: ignore[arg-type, dict-item]
    assert [(one.fingerprint, name) for one, name in todo] == [("f001", "other"), ("f002", OURS), ("f002", "other")]
    append(path, made(1, score=5.0))
    assert [run.score for run in saved(path)] == [5.0]


def test_a_method_that_separates_is_ahead_of_one_that_does_not_on_the_models_that_both_judged() -> None:
    methods = tables.by_method([*zoo(OURS, 100.0), *zoo("blind", 0.0), made(90, method="blind", score=None)])
    rows = rows_by(tables.overall(methods, OURS, {}), "method")
    assert rows[OURS]["AUC"] == "1.000 [1.000, 1.000]"
    assert rows[OURS]["ours − this"] == "–"
    assert rows["blind"]["AUC"].startswith("0.500")
    assert rows["blind"]["ours − this"].startswith("0.500 [0.3")
    assert rows["blind"]["models"] == "20 clean, 20 poisoned"
    goals = rows_by(tables.goals(methods, OURS), "goal")
    assert goals["ahead of blind: the paired interval above 0"]["reached"] == "yes"
    assert goals["AUC, patch to filter ≥ 0.97"]["reached"] == "yes"


def test_goals_that_are_missed_are_called_missed() -> None:
    runs = zoo(OURS, 0.0)
    wrong = [made(60 + k, poisoned=True, p_value=0.01, alarm=True, named=5, iou=0.0, score=0.0) for k in range(10)]
    accused = [made(80 + k, p_value=0.01, alarm=True, score=0.0, seconds=90.0) for k in range(20)]
    slow = [made(120 + k, seconds=90.0, p_value=0.5) for k in range(40)]
    found = tables.goals(tables.by_method([*runs, *wrong, *accused, *slow]), OURS)
    assert {row["goal"]: row["reached"] for row in found} == {row["goal"]: "no" for row in found}
    assert len(found) == 6


def test_the_final_split_is_asked_for_what_is_found_and_for_transformers_too() -> None:
    hidden = [made(60 + k, poisoned=True, score=100.0, p_value=0.2, kind="clean-label") for k in range(4)]
    others = [made(70 + k, score=float(k), p_value=0.5, architecture="vit") for k in range(5)]
    others += [made(80 + k, poisoned=True, score=-1.0, p_value=0.9, architecture="vit") for k in range(5)]
    methods = tables.by_method([*zoo(OURS, 100.0), *hidden, *others])
    found = rows_by(tables.goals(methods, OURS, tables.GOALS["final"]), "goal")
    assert found["found at p ≤ .05 in ≥ 80%"]["found"].startswith(f"{20 / 29:.3f}")
    assert found["found at p ≤ .05 in ≥ 80%"]["reached"] == "no"
    assert found["AUC, warp to adaptive ≥ 0.9"]["found"] == "1.000 [1.000, 1.000]"
    assert found["AUC, transformers ≥ 0.9"]["found"] == "0.000 [0.000, 0.000]"
    before = rows_by(tables.goals(methods, OURS), "goal")
    assert "AUC, warp to adaptive ≥ 0.85" not in before
    assert "found at p ≤ .05 in ≥ 80%" not in before


def test_uniformity_is_told_of_clean_models_alone_by_group(tmp_path: Path) -> None:
    clean = [made(k, p_value=(k + 0.5) / 20, architecture="vit" if k < 10 else "vgg") for k in range(20)]
    runs = tables.by_method([*clean, *(made(50 + k, poisoned=True, p_value=0.001) for k in range(30))])[OURS]
    rows = rows_by(uniformity.tabulate(runs), "clean models")
    assert rows["all"]["distance from uniform"] == "0.025 (chance: 0.294)"
    assert rows["architecture vit"]["distance from uniform"].startswith("0.5")
    assert rows["all"]["p ≤ .05"].startswith("1 of 20")
    uniformity.draw(runs, "test", tmp_path / "plot.png")
    drawn = np.asarray(Image.open(tmp_path / "plot.png").convert("RGB")).reshape(-1, 3)
    assert (drawn == (0x3A, 0x4F, 0xB8)).all(axis=1).sum() > 300  # the line of the clean models
    uniformity.draw({}, "test", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_false_alarms_count_clean_models_alone_with_exact_intervals() -> None:
    runs = [*zoo(OURS, 5.0), made(50, p_value=0.03, alarm=True, score=40.0)]
    (row,) = tables.alarms(tables.by_method(runs), tables.by_method(runs))
    assert row["own rule"] == "1 of 21: 0.048 [0.001, 0.238]"
    assert row["own p ≤ .05"] == row["own rule"]
    assert row["own p ≤ .01"].startswith("0 of 21")
    assert row["recalibrated p ≤ .05"].startswith("1 of 21")  # the largest of 21, its own score left out


def test_a_rule_needs_enough_references_to_be_recalibrated() -> None:
    runs = tables.by_method(zoo(OURS, 5.0)[5:])
    assert tables.alarms(runs, runs)[0]["recalibrated p ≤ .05"] == "–"


def test_weak_backdoors_stand_apart() -> None:
    weak = [made(70 + k, poisoned=True, stratum="weak", score=-5.0, kind="wanet") for k in range(5)]
    methods = tables.by_method([*zoo(OURS, 100.0), *weak])
    (row,) = tables.overall(methods, OURS, {})
    assert row["AUC"].startswith("1.000")
    by_attack = rows_by(tables.attacks(methods, OURS), "attack")
    assert by_attack["success rate .5 to .9"][OURS].startswith("0.000")
    assert "wanet" not in by_attack


def test_parts_compare_models_of_the_same_part_alone() -> None:
    runs = zoo(OURS, 100.0) + [made(200 + k, poisoned=k % 2 == 1, score=1e6 - k, architecture="vit") for k in range(10)]
    by_part = rows_by(tables.parts(tables.by_method(runs), OURS, "architecture"), "architecture")
    assert by_part["vgg"][OURS].startswith("1.000")
    assert by_part["vit"][OURS].startswith("0.400")


@pytest.mark.parametrize("kind", tables.PLAIN + tables.SUBTLE)
def test_the_goals_speak_of_kinds_that_the_zoo_has(kind: str) -> None:
    from benchmarks.zoo.attacks import ATTACKS
    from benchmarks.zoo.cards import KINDS

    kinds = {"filter" if attack.startswith("filter-") else KINDS.get(attack, attack) for attack in ATTACKS}
    assert kind in kinds
