"""Random stamps, and the fusion of statistics by kinds of trigger."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import models
from phosphene.core.records import seal, to_plain
from phosphene.scanner.fusion import drop_kinds, fuse
from phosphene.scanner.judging import CROWD, judge
from phosphene.scanner.pool import MAX_FACT, SHRINKAGE, Pool
from phosphene.scanner.reference import Reference, Row, load_shipped
from phosphene.scanner.settings import Settings
from phosphene.scanner.stamps import STAMPS
from phosphene.scanner.statistics.registry import collect_roles
from phosphene.scanner.statistics.stamps import measure_stamp
from phosphene.scanner.surrogates import render_surrogates

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 20, 44), (1, 44, 20)]
STATISTICS = sorted(collect_roles().of_classes)


def drawn(kind: str, shape: tuple[int, int, int], seed: int = 0, count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(3, *shape, generator=torch.Generator().manual_seed(9))
    return images, STAMPS[kind](images, torch.Generator().manual_seed(seed), count)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", STAMPS)
def test_a_stamp_changes_images_stays_an_image_and_follows_its_seed(kind, shape):
    images, stamped = drawn(kind, shape)
    assert stamped.shape == (6, *images.shape)
    assert float(stamped.min()) >= 0
    assert float(stamped.max()) <= 1
    changed = (stamped - images).abs().flatten(1).mean(dim=1)
    assert (changed > 0).all()
    assert len(set(changed.tolist())) == 6
    assert torch.equal(stamped, drawn(kind, shape)[1])
    assert not torch.equal(stamped, drawn(kind, shape, seed=1)[1])


@pytest.mark.parametrize(("kind", "most"), [("patch", (5 / 28) ** 2), ("polygon", 0.35)])
def test_what_lies_at_one_place_leaves_the_rest_as_it_was(kind, most):
    images, stamped = drawn(kind, (3, 28, 28), count=24)
    touched = (stamped != images).any(dim=2).float().mean(dim=(1, 2, 3))
    assert float(touched.max()) <= most
    assert (touched > 0).float().mean() > 0.9  # a polygon may fall between the pixels


@pytest.mark.parametrize("kind", ["patch", "polygon"])
def test_all_images_get_the_same_stamp_at_the_same_place(kind):
    images = torch.stack([torch.full((3, 28, 28), 0.4), torch.full((3, 28, 28), 0.6)])
    stamped = STAMPS[kind](images, torch.Generator().manual_seed(3), 12)
    places = (stamped != images).any(dim=2)
    assert torch.equal(places[:, 0], places[:, 1])


def test_the_class_that_bright_squares_speak_for_is_the_one_that_patches_reach():
    """Class 6 counts bright pixels against its neighbours; all others have smooth rows, so only stamps betray it."""
    weight = 0.2 * torch.randn(8, 1, 14, 14, generator=torch.Generator().manual_seed(1))
    classifier = models.linear_classifier(weight=weight)
    classifier.module.register_forward_hook(lambda module, inputs, logits: logits + 30 * _square(inputs[0]))
    surrogates = render_surrogates(classifier, list(range(8)), count=2, iterations=10, seed=0)
    values = measure_stamp(classifier, surrogates, "patch", 48, 0)
    assert int(values.argmax()) == 6
    assert float(values[6]) > float(values[torch.arange(8) != 6].max()) + 2


def _square(images: torch.Tensor) -> torch.Tensor:
    """One for class 6 where four neighbouring pixels are exactly white, which only a stamp makes them."""
    white = (images == 1).float()
    block = torch.nn.functional.avg_pool2d(white, 2, stride=1).flatten(1).max(dim=1).values == 1
    return block.float()[:, None] * (torch.arange(8) == 6).float()


def row(seed: int, *, extreme: str | None = None, by: float = 9.0, wild: float = 1.0, level: float = 0.0) -> Row:
    """Noise in every statistic of ten classes; class 6 stands out in one of them; `level` tells of the architecture."""
    draw = np.random.default_rng(seed)
    statistics = {name: draw.normal(size=10) * wild for name in (*STATISTICS, "row_norm")}
    if extreme is not None:
        statistics[extreme][6] += by
    whole = {"level patch": level + 0.01 * draw.normal(), "permutation patch": draw.normal()}
    return Row(
        f"m{seed}", f"f{seed}", 10, 28, 1, {name: tuple(one.tolist()) for name, one in statistics.items()}, whole
    )


def table(rows: int, **facts: float) -> Reference:
    return Reference("noise", "", {}, tuple(row(seed, **facts) for seed in range(rows)))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_one_statistic_is_enough_whatever_the_kind_of_trigger_it_speaks_of(statistic):
    judged = fuse(row(500, extreme=statistic), table(40))
    assert int(np.argmax(judged.scores)) == 6
    assert judged.external <= 3 / 41


def test_what_belongs_to_no_kind_is_shown_and_accuses_no_class():
    plain, extreme = (fuse(row(500, extreme=name), table(40)) for name in (None, "row_norm"))
    assert extreme.outliers["row_norm"][6] > 5
    assert np.argsort(extreme.scores).tolist() == np.argsort(plain.scores).tolist()
    assert extreme.score == pytest.approx(plain.score, abs=0.2)  # what is typical of a model tells of its wildness


def typical(seed: int, wildness: float) -> Row:
    """Of ten classes some one stands out in each column, by as much as median and spread of a further one foretell."""
    plain, draw = row(seed), np.random.default_rng(900 + seed)
    classes = {name: np.array(values) for name, values in plain.classes.items()}
    for name in STATISTICS:
        classes[name][int(draw.integers(10))] += 3 * wildness
    classes["row_norm"] = wildness + 0.3 * (1 + wildness) * classes["row_norm"]
    return replace(plain, classes={name: tuple(values.tolist()) for name, values in classes.items()})


def test_a_model_is_compared_with_what_is_foretold_of_one_whose_classes_are_typically_as_its_own_are():
    """All clean: by what is typical of each, none stands out; without it, the wildest third holds the smallest p."""
    wildness = np.linspace(0, 3, 60)
    rows = tuple(typical(seed, float(wild)) for seed, wild in enumerate(wildness))
    whole = Reference("typical", "", {}, rows)
    without = replace(whole, rows=tuple(one.without({"row_norm"}) for one in rows))
    told, untold = (
        np.array([fuse(one, table.without(one.fingerprint)).external for one in table.rows])
        for table in (whole, without)
    )
    assert abs(np.corrcoef(told, wildness)[0, 1]) < 0.5 < -np.corrcoef(untold, wildness)[0, 1]


def test_what_is_foretold_of_a_model_is_the_regression_over_all_others():
    pool = Pool(table(20).rows, collect_roles())
    scores = np.random.default_rng(1).normal(size=20)
    facts = np.array([pool._describe_classes(one) for one in pool.rows])
    facts = facts[:, np.isfinite(facts).any(axis=0)]
    spread = facts.std(axis=0)
    facts = np.clip((facts - facts.mean(axis=0)) / np.where(spread > 1e-9, spread, 1), -MAX_FACT, MAX_FACT)
    for place in (0, 7, 19):
        others, count = np.delete(np.arange(20), place), facts.shape[1]
        penalised = np.column_stack([np.zeros(count), SHRINKAGE**0.5 * np.eye(count)])
        rows = np.vstack([np.column_stack([np.ones(19), facts[others]]), penalised])
        weights, *_ = np.linalg.lstsq(rows, np.concatenate([scores[others], np.zeros(count)]), rcond=None)
        assert pool._foretell(scores)[place] == pytest.approx(weights[0] + facts[place] @ weights[1:])


def test_of_very_few_models_nothing_is_foretold():
    pool = Pool(table(2).rows, collect_roles())
    scale = pool.calibrate(np.array([1.0, 2.0]))
    assert scale.expected.tolist() == [0, 0]
    assert np.isfinite(fuse(row(500, extreme="warp"), table(1)).score)


def test_without_the_kinds_of_its_trigger_an_extreme_class_is_not_seen():
    odd = row(500, extreme="stamp warp")
    assert fuse(odd, table(40), roles=drop_kinds(["warp"])).external > 0.1
    assert fuse(odd, table(40)).external < 0.1


def test_a_model_is_compared_with_models_like_it():
    """The same statistics mean more among models whose classes seldom stand out than among those whose often do."""
    tame = tuple(row(seed, level=-2.0) for seed in range(30))
    wild = tuple(row(100 + seed, extreme=STATISTICS[seed % len(STATISTICS)], level=2.0) for seed in range(30))
    both = Reference("both", "", {}, tame + wild)
    odd = row(500, extreme="warp")
    among_wild = fuse(replace(odd, whole={"level patch": 2.0}), both)
    among_tame = fuse(replace(odd, whole={"level patch": -2.0}), both)
    assert among_wild.neg_log_p == among_tame.neg_log_p
    assert among_wild.score + 0.5 < among_tame.score
    assert among_wild.external > among_tame.external


def test_likes_are_shares_and_nobody_is_its_own():
    alike = Pool(tuple(row(seed, level=float(seed % 3)) for seed in range(12)), collect_roles()).alike
    assert alike.sum(axis=1) == pytest.approx(np.ones(12))
    assert np.diag(alike) == pytest.approx(np.zeros(12))
    assert alike[0, 3] > 1.5 * alike[0, 1] > 2 * alike[0, 2]


def test_every_rank_is_as_likely_as_any_other_among_exchangeable_models():
    pool = table(25)
    values = sorted(fuse(one, pool.without(one.fingerprint)).external for one in pool.rows)
    assert values == pytest.approx([(place + 1) / 25 for place in range(25)])


def test_an_older_table_gets_the_medians_of_its_columns_measured_as_those_were():
    settings = {"stamp patch": {"stamps": 96}}
    older = replace(table(6), columns=settings, command="x")
    plain = {**to_plain(replace(older, rows=())), "rows": [to_plain(one) for one in older.rows], "format": 2}
    read = Reference.from_json(seal(plain))
    assert read.columns["median stamp patch"] == settings["stamp patch"]
    for old, new in zip(older.rows, read.rows, strict=True):
        assert new.whole == {**old.whole, "median stamp patch": float(np.median(old.classes["stamp patch"]))}
        assert new.with_medians() is new


def test_a_median_of_no_finite_value_is_left_out():
    empty = row(1)
    assert (
        "median stamp patch"
        not in replace(empty, classes={**empty.classes, "stamp patch": (float("nan"),) * 10}).with_medians().whole
    )


def test_a_model_whose_classes_all_answer_to_patches_stands_out_though_no_class_does():
    """As one with a trigger for every class."""
    others = Reference("noise", "", {}, tuple(row(seed).with_medians() for seed in range(60)))
    plain = row(500)
    raised = tuple(value + 6 for value in plain.classes["stamp patch"])
    crowd = replace(plain, classes={**plain.classes, "stamp patch": raised})
    before, after = (fuse(one.with_medians(), others) for one in (plain, crowd))
    assert after.outliers["stamp patch"] == pytest.approx(before.outliers["stamp patch"])
    assert after.score > before.score + 1
    assert after.external < before.external


def test_a_median_class_beyond_that_of_every_reference_is_said():
    shipped = load_shipped()
    own = shipped.rows[0]
    raised = own.whole["median stamp patch"] + 20
    high = replace(own, whole={**own.whole, "median stamp patch": raised})
    unknown = replace(own, whole={**own.whole, "median stamp patch": float("nan")})
    others = shipped.without(own.fingerprint)
    calm, crowd, strange = (judge(one, others, Settings()).list_checks(own.outputs) for one in (own, high, unknown))
    fewer_stamps = judge(high, others, replace(Settings(), stamps=8)).list_checks(own.outputs)
    assert CROWD in crowd
    assert CROWD not in (*calm, *strange, *fewer_stamps)
