"""What a scan may be given beside the model: a base whose differences count, and pictures that the candidate is tried on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import models
from command import phosphene
from phosphene.core.images import png_bytes
from phosphene.core.records import to_plain
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.report.scan.page import render_scan
from phosphene.scanner.against.base import Base, BaseStage, check_comparable, list_counted, measure_base
from phosphene.scanner.against.differences import pair_references, subtract
from phosphene.scanner.against.judging import FEWEST, Model, judge_against
from phosphene.scanner.budget import Budget
from phosphene.scanner.calibration import calibrate
from phosphene.scanner.comparison import compare
from phosphene.scanner.examination import Examination
from phosphene.scanner.exports.artifact import Artifact
from phosphene.scanner.exports.attestation import make_attestation
from phosphene.scanner.exports.cyclonedx import make_cyclonedx
from phosphene.scanner.exports.sarif import make_sarif
from phosphene.scanner.folder.base import FILE_NAME as BASE_FILE
from phosphene.scanner.folder.base import measure_base_once, read_base
from phosphene.scanner.folder.record import load_scans
from phosphene.scanner.fusion import fuse
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.own_classes import compare_own_classes
from phosphene.scanner.pictures import hash_digests, load_pictures
from phosphene.scanner.record import Scan, schema
from phosphene.scanner.reference import Reference, Row, load_shipped
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import STATISTICS, collect_roles, split_settings
from phosphene.scanner.surrogates import Surrogates
from test_exports import validate_cyclonedx, validate_sarif, validate_statement
from test_scan_folder import LINE, TINY, plant
from test_scanner import FAST

MANY = 24  # classes: enough for a tail
QUICK = replace(FAST, pair_classes=4, stamps=16)


def natural(outputs: int = MANY, seed: int = 0) -> torch.Tensor:
    return torch.randn(outputs, 1, 12, 12, generator=torch.Generator().manual_seed(seed)) * 0.3


def trained_on(weight: torch.Tensor, target: int | None = None) -> Classifier:
    """What became of a linear model: every weight has moved a little, and four pixels may speak for the target."""
    moved = weight + 0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    if target is not None:
        moved[target, 0, 1:3, 1:3] = 12.0
    return models.linear_classifier(weight=moved)


@pytest.fixture(scope="module")
def base() -> Classifier:
    return models.linear_classifier(weight=natural())


@pytest.fixture(scope="module")
def planted(base) -> Scan:
    """The scan of a model with a backdoor against its clean base; no reference is like it."""
    return scan(trained_on(natural(), target=6), QUICK, against=base)


# The differences as each other's controls


@pytest.mark.parametrize("draw", [np.random.Generator.standard_normal, np.random.Generator.standard_exponential])
@pytest.mark.parametrize("classes", [FEWEST, 43, 200])
def test_differences_without_an_outlier_seldom_accuse(classes, draw):
    random, columns = np.random.default_rng(classes), sorted(collect_roles().of_classes)
    p_values = []
    for _ in range(200):
        values = {name: tuple(draw(random, classes).tolist()) for name in columns}
        row = Row("difference", "d" * 64, classes, 28, 1, values, {})
        p_values.append(compare_own_classes(row, fewest=FEWEST).p_value)
    for level in (0.05, 0.01):
        assert np.mean(np.array(p_values) <= level) <= level + 3.5 * (level * (1 - level) / len(p_values)) ** 0.5


def test_too_few_classes_or_equal_differences_have_no_p_value_that_accuses():
    few = Row("few", "d" * 64, FEWEST - 1, 28, 1, {"margin": tuple(range(FEWEST - 1))}, {})
    assert compare_own_classes(few, fewest=FEWEST) is None
    equal = replace(few, outputs=50, classes={"margin": (0.0,) * 50, "row_mean": (1.0,) * 50})
    assert compare_own_classes(equal, fewest=FEWEST).p_value == 1


# Differences and the pairs of references


@pytest.fixture(scope="module")
def shipped() -> Reference:
    return load_shipped()


def test_a_model_less_itself_is_nothing_and_keeps_its_levels(shipped):
    row = shipped.rows[0]
    difference = subtract(row, row)
    assert all(value == 0 for values in difference.classes.values() for value in values)
    assert difference.whole["level patch"] == row.whole["level patch"]
    assert difference.whole["permutation patch"] == 0
    assert "patch" not in subtract(row, row, left_out={"patch"}).classes


def test_each_reference_is_paired_with_its_like_of_the_same_task(shipped):
    pairs = pair_references(shipped)
    assert sorted(pairs) == list(range(len(shipped.rows)))
    rows = {(row.outputs, row.channels, tuple(row.classes["row_mean"])) for row in shipped.rows}
    for place, pair in pairs.items():
        own = shipped.rows[place]
        other = tuple(np.round(np.array(own.classes["row_mean"]) - pair.classes["row_mean"], 5))
        assert (own.outputs, own.channels, other) in rows
        assert any(pair.classes["patch"])


def test_a_reference_that_has_no_like_has_no_pair(shipped):
    alone = next(row for row in shipped.rows if row.outputs == 43)
    few = [row for row in shipped.rows if row.outputs == 10][:4]
    assert sorted(pair_references(replace(shipped, rows=(*few, alone)))) == [0, 1, 2, 3]


def judged(row: Row, other: Row, table: Reference):
    table = table.without(row.fingerprint).without(other.fingerprint)
    comparison = compare(row, table, Settings())
    model = Model(row, Settings(), fuse(row, table, left_out=comparison.left_out), comparison)
    return model, *judge_against(model, Base(other, (), (1, 28, 28), Settings(), "scan"), table)


def test_the_base_adds_what_it_shows_and_hides_nothing(shipped):
    """A class that was made easier since the base is found in the differences; the ranks are those of 98 models."""
    row = next(row for row in shipped.rows if row.name.endswith("fashion-vgg-none"))
    easier = {name: list(values) for name, values in row.classes.items()}
    for name in ("patch", "stamp patch", "row_mean"):
        easier[name][3] += 2.5 * row.centred[name][1]
    changed = replace(row, fingerprint="changed", classes={name: tuple(values) for name, values in easier.items()})
    model, joined, against = judged(changed, row, shipped)
    assert (against.method, against.models) == ("references", 99)
    assert int(np.argmax(against.scores)) == int(np.argmax(joined.scores)) == 3
    assert against.p_value < model.judged.external
    assert joined.score == max(model.judged.score, max(against.scores))
    assert all(one >= alone - 1e-9 for one, alone in zip(joined.scores, model.judged.scores, strict=True))
    assert against.p_alone == model.judged.external
    assert joined.external >= 1 / 100


def test_with_the_very_same_weights_the_model_is_judged_alone(shipped):
    model, joined, against = judged(shipped.rows[0], shipped.rows[0], shipped)
    assert joined == model.judged
    assert (against.identical, against.p_value, set(against.scores)) == (True, None, {0.0})


def test_a_base_that_is_unlike_the_references_takes_nothing_from_a_model_that_they_speak_for(shipped):
    row = next(row for row in shipped.rows if row.outputs == 43)
    strange = {name: value + 20 * name.startswith("level") for name, value in row.whole.items()}
    model, joined, against = judged(row, replace(row, fingerprint="other", whole=strange), shipped)
    assert joined == model.judged
    assert (against.method, against.p_value) == ("none", None)
    assert against.reasons[0].startswith("base: fewer than half of the families")


# Scans against a base


def test_a_planted_difference_is_found_where_no_reference_speaks(planted, base):
    against = planted.against
    assert (against.method, against.source, against.fingerprint) == ("tail", "model", base.fingerprint)
    assert against.p_value <= 0.05
    assert int(np.argmax(against.scores)) == 6
    assert planted.target.index == planted.ranking()[0].index == 6
    assert planted.verdict in ("suspicious", "backdoor-like")
    assert planted.p_external is None
    assert planted.calibration.outside
    assert "base" in [stage.name for stage in planted.stages]


def test_what_only_moved_a_little_is_not_accused(base):
    found = scan(trained_on(natural()), QUICK, against=base)
    assert found.against.p_value > 0.05
    assert found.verdict == "nothing found"


def test_few_classes_and_no_references_give_no_p_value_and_say_so():
    found = scan(trained_on(natural(8), target=6), QUICK, against=models.linear_classifier(weight=natural(8)))
    assert (found.against.method, found.against.p_value) == ("none", None)
    assert int(np.argmax(found.against.scores)) == 6
    assert found.verdict in ("inconclusive", "nothing found")
    assert any("fewer than 20 classes have differences" in check for check in found.checks)


def test_the_record_of_a_scan_is_as_good_a_base_as_the_model(planted, base):
    recorded = Scan.from_json(scan(base, QUICK).to_json())
    found = scan(trained_on(natural(), target=6), QUICK, against=recorded)
    assert found.against.source == "scan"
    assert found.against.scores == pytest.approx(planted.against.scores)
    assert (found.p_value, found.verdict) == (planted.p_value, planted.verdict)


def test_columns_that_were_measured_otherwise_are_left_out_and_named(base):
    shorter = scan(base, replace(QUICK, additive_iterations=5))
    found = scan(trained_on(natural(), target=6), QUICK, against=shorter)
    assert found.against.left_out == ("additive, level additive (measured with other settings on the base)",)
    assert "additive" not in found.against.differences


def test_identical_weights_are_said_and_change_nothing(base):
    alone, found = (scan(base, QUICK, against=one) for one in (None, base))
    assert found.against.identical
    assert any("identical" in check for check in found.checks)
    assert (found.p_value, found.score, found.verdict) == (alone.p_value, alone.score, alone.verdict)
    assert "identical weights" in render_scan(found)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (models.linear_classifier(weight=natural(5)), "has other classes than linear: 5 where 24 are expected"),
        (
            models.linear_classifier(shape=(1, 10, 12), outputs=MANY),
            "takes images of 1 × 10 × 12; expected 1 × 12 × 12",
        ),
    ],
)
def test_a_base_that_cannot_be_compared_is_refused(other, said, base):
    with pytest.raises(BadInput, match=said):
        scan(base, QUICK, against=other)


def test_other_names_and_another_seed_are_refused(base, planted):
    named = Classifier(base.module, base.format, labels=[f"class {k}" for k in range(MANY)], name="named")
    with pytest.raises(BadInput, match=r"0 is 'class 0', not '0'.*and 21 more"):
        check_comparable(base, named, QUICK)
    with pytest.raises(BadInput, match=r"was scanned with seed 0.*expected 1, or --seed 0"):
        scan(base, replace(QUICK, seed=1), against=planted)


def test_the_budget_counts_what_the_base_takes(base):
    stage, keys = BaseStage(), {one.key for one in list_counted()}
    assert "pairs" not in keys
    assert {"probes", "margins", "patch stamps", "short patch", "permutations"} <= keys
    shape = ModelSize.of(base)
    assert stage.cost(QUICK, shape) == sum(one.cost(QUICK, shape) for one in list_counted())


# Records, pages, exports


def test_a_scan_against_a_base_reads_back_and_fits_its_schema(planted, tmp_path):
    record = planted.to_json()
    jsonschema.validate(record, schema())
    planted.save(tmp_path / "scan.json")
    assert Scan.load(tmp_path / "scan.json") == planted
    older = {name: value for name, value in record.items() if name not in ("against", "images", "digest")}
    assert Scan.from_json(older) == replace(planted, against=None)


def test_the_page_shows_the_classes_by_their_difference(planted):
    page = render_scan(planted)
    assert 'id="base"' in page
    assert "p-value of the differences" in page
    assert "against=base)" in page
    assert "those of the differences from the base" in page
    assert 'id="base"' not in render_scan(replace(planted, against=None))
    accused = replace(planted, verdict="backdoor-like")
    assert "the scan used the weights, those of a base, and no record" in render_scan(accused)
    assert "no photograph" in render_scan(replace(accused, against=None))


def test_exports_name_the_base(planted):
    artifact = Artifact("suspect.safetensors", "ab" * 32)
    sarif, bom, statement = (make(planted, artifact) for make in (make_sarif, make_cyclonedx, make_attestation))
    validate_sarif(sarif)
    validate_cyclonedx(bom)
    validate_statement(statement)
    for record in (sarif, bom, statement):
        assert planted.against.fingerprint in json.dumps(record)


# Pictures


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(9):
        image = torch.rand(3, 20, 16, generator=torch.Generator().manual_seed(number))
        image[:, :8, :8] = 0.0  # where triggers are planted
        (folder / f"{number}.png").write_bytes(png_bytes(image))
    return folder


def test_pictures_have_the_models_form_and_a_digest_of_their_own(pictures, tmp_path):
    loaded = load_pictures(pictures, (1, 12, 12))
    assert loaded.images.shape == (9, 1, 12, 12)
    assert load_pictures(pictures, (3, 8, 8)).digest == loaded.digest
    (pictures / "0.png").rename(pictures / "renamed.png")
    (pictures / "again.png").write_bytes((pictures / "1.png").read_bytes())
    assert load_pictures(pictures, (1, 12, 12)).digest == loaded.digest
    assert len(load_pictures(pictures, (1, 12, 12))) == 9
    (pictures / "2.png").unlink()
    assert load_pictures(pictures, (1, 12, 12)).digest != loaded.digest


def test_half_of_the_pictures_are_kept_from_searches_and_one_alone_is_in_both(pictures):
    loaded = load_pictures(pictures, (1, 12, 12))
    assert torch.allclose(
        torch.cat([loaded.for_search, loaded.list_unseen(searched=True)]).sum(dim=0), loaded.images.sum(dim=0)
    )
    assert torch.equal(loaded.list_unseen(searched=False), loaded.images)
    for number in range(1, 9):
        (pictures / f"{number}.png").unlink()
    alone = load_pictures(pictures, (1, 12, 12))
    assert torch.equal(alone.for_search, alone.list_unseen(searched=True))


def test_what_cannot_be_read_is_named_and_nothing_at_all_is_refused(pictures, tmp_path):
    (pictures / "broken.png").write_bytes(b"no picture")
    loaded = load_pictures(pictures, (1, 12, 12))
    assert len(loaded) == 9
    assert loaded.unreadable == ("broken.png (cannot identify image file)",)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BadInput, match="no images in"):
        load_pictures(empty, (1, 12, 12))
    (empty / "broken.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"no picture in .* can be read: broken.png"):
        load_pictures(empty, (1, 12, 12))
    with pytest.raises(BadInput, match="the model takes 4; leave out --images"):
        load_pictures(pictures, (4, 12, 12))


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6, unique=True), st.randoms())
def test_the_digest_does_not_depend_on_the_order(names, random):
    shuffled = list(names)
    random.shuffle(shuffled)
    assert hash_digests(names) == hash_digests(shuffled)


def test_pictures_take_the_place_of_surrogates_of_the_class_that_they_are_predicted_as():
    surrogates = Surrogates(torch.zeros(2, 2, 1, 1, 1), torch.zeros(2, 2), ("b", "d"), (1, 3))
    images = torch.arange(1.0, 5.0).view(4, 1, 1, 1)
    logits = torch.eye(4)[torch.tensor([3, 3, 3, 0])]
    mixed = surrogates.replace_by(images, logits.log_softmax(dim=1))
    assert mixed.images.flatten().tolist() == [0, 0, 1, 2]
    assert (mixed.confidence[0] == 0).all()
    assert (mixed.confidence[1] < 0).all()


def test_pictures_verify_the_candidate_and_leave_the_p_values_alone(pictures):
    model = trained_on(natural(), target=6)
    alone = scan(model, QUICK)
    found = scan(model, QUICK, images=load_pictures(pictures, model.image_shape))
    used = found.images
    assert (used.count, used.role) == (9, "verification")
    assert used.shuffled <= used.flipped <= used.tried <= 9
    assert used.flipped >= 1
    assert (found.p_value, found.score, found.classes) == (alone.p_value, alone.score, alone.classes)
    assert any("not measured on these pictures" in check for check in found.checks)
    assert Scan.from_json(found.to_json()) == found
    page = render_scan(found)
    assert 'id="pictures"' in page
    assert "9 pictures, for verification" in page


def test_statistics_on_pictures_are_compared_with_references_on_the_same_ones_alone(pictures, tmp_path):
    clean = [models.linear_classifier(weight=natural(6, seed)) for seed in range(10, 16)]
    tiny = replace(QUICK, patch_iterations=6, additive_iterations=4)
    table = calibrate(clean, tmp_path / "table.json", tiny, images=pictures)
    model = models.linear_classifier(weight=natural(6, 3))
    loaded = load_pictures(pictures, model.image_shape)
    same = scan(model, tiny, reference=table, images=loaded)
    assert same.images.role == "statistics and verification"
    assert same.images.tried <= 4
    assert same.settings["backgrounds"] == loaded.digest
    assert not any("measured with other settings" in reason for reason in same.calibration.left_out)
    without = scan(model, tiny, reference=table)
    assert without.p_external is None
    assert any("measured with other settings" in reason for reason in without.calibration.outside)
    with pytest.raises(BadInput, match="other settings or pictures"):
        calibrate(clean, tmp_path / "table.json", tiny)
    (pictures / "0.png").unlink()
    other = scan(model, tiny, reference=table, images=load_pictures(pictures, model.image_shape))
    assert (other.images.role, other.p_external) == ("verification", None)


def test_the_base_of_a_folder_is_measured_on_the_pictures_that_the_references_were(pictures, tmp_path):
    clean = [models.linear_classifier(weight=natural(6, seed)) for seed in range(10, 16)]
    tiny = replace(QUICK, patch_iterations=6, additive_iterations=4)
    calibration = tmp_path / "table.json"
    table = calibrate(clean, calibration, tiny, images=pictures)
    base, model = (models.linear_classifier(weight=natural(6, seed)) for seed in (4, 3))
    out, given = tmp_path / "out", {"calibration": calibration, "images": pictures}
    kept = measure_base_once(base, tiny, out, **given)
    loaded = load_pictures(pictures, model.image_shape)
    assert kept.settings.backgrounds == loaded.digest
    one, other = (scan(model, tiny, reference=table, images=loaded, against=base) for base in (kept, base))
    assert one.against.scores == other.against.scores
    assert measure_base_once(base, tiny, out, calibration=calibration).settings.backgrounds == ""
    (pictures / "0.png").unlink()
    assert measure_base_once(base, tiny, out, **given).settings.backgrounds == ""


def test_settings_that_name_pictures_need_them(base):
    with pytest.raises(BadInput, match="the settings name pictures of digest abc, and the scan is given none"):
        scan(base, replace(QUICK, backgrounds="abc"))


def test_without_pictures_no_column_depends_on_them():
    plain = split_settings({"surrogates": 4, "surrogate_iterations": 30, "stamps": 96, "backgrounds": ""})
    assert "backgrounds" not in plain["stamp patch"]
    assert split_settings({"stamps": 96, "backgrounds": "abc"})["stamp patch"]["backgrounds"] == "abc"


# The command line


@pytest.fixture
def quick(monkeypatch):
    """Scans of the command line are short."""
    monkeypatch.setattr("phosphene.scanner.settings.Settings", lambda seed=0: replace(TINY, seed=seed))


def test_the_command_takes_weights_or_a_record_as_base_and_pictures(quick, tmp_path, pictures):
    suspect, base = (plant(tmp_path / f"{name}.safetensors", seed) for seed, name in enumerate(("suspect", "base")))
    report = tmp_path / "base.json"
    phosphene("scan", *LINE, "--weights", base, "--report", report)
    outcomes = [
        phosphene("scan", *LINE, "--weights", suspect, "--against", one, "--images", pictures, "--json")
        for one in (base, report)
    ]
    first, second = (json.loads(outcome.out) for outcome in outcomes)
    assert [first["against"]["source"], second["against"]["source"]] == ["model", "scan"]
    assert first["against"]["fingerprint"] == second["against"]["fingerprint"]
    assert first["against"]["scores"] == pytest.approx(second["against"]["scores"])
    assert first["images"]["count"] == 9
    page = phosphene("scan", *LINE, "--weights", suspect, "--against", base, "--images", pictures)
    assert "base: base: " in page.out
    assert "pictures: " in page.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--against", "other.safetensors"), "has other classes than"),
        (("--against", "broken.json"), "is no scan"),
        (("--against", "missing.json"), "missing.json"),
        (("--images", "nothing"), "no images in"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(options, said, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    suspect = plant(Path("suspect.safetensors"))
    Path("broken.json").write_text("{}")
    if options[1] == "other.safetensors":
        whole = models.linear_classifier(shape=(3, 12, 12), outputs=3)
        report = Path("other.json")
        scan(whole, TINY).save(report)
        options = ("--against", report)
    outcome = phosphene("scan", *LINE, "--weights", suspect, *options)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert said in outcome.err


def test_every_model_of_a_folder_is_compared_with_one_base(quick, tmp_path, pictures):
    folder = tmp_path / "models"
    folder.mkdir()
    for number in (1, 2):
        plant(folder / f"net{number}.safetensors", number)
    base, out = plant(tmp_path / "base.safetensors", 5), tmp_path / "out"
    given = ("--against", base, "--images", pictures)
    phosphene("scan", folder, *LINE, "--executor", "serial", "--out", out, *given)
    table = load_scans(out / "scans.json")
    scans = [Scan.load(out / one.record) for one in table.models]
    assert {one.against.fingerprint for one in scans} == {table.against.fingerprint}
    assert {one.images.digest for one in scans} == {table.images}
    page = (out / "index.html").read_text()
    assert table.against.fingerprint[:12] in page
    assert "pictures <code" in page
    phosphene("scan", folder, *LINE, "--executor", "serial", "--out", out)
    again = load_scans(out / "scans.json")
    assert again.against is None
    assert not {one.record for one in again.models} & {one.record for one in table.models}


@pytest.fixture
def folder_with_base(quick, tmp_path) -> tuple[Path, Path, Path]:
    """Two models, a base, and where the scans go."""
    folder = tmp_path / "models"
    folder.mkdir()
    for number in (1, 2):
        plant(folder / f"net{number}.safetensors", number)
    return folder, plant(tmp_path / "base.safetensors", 5), tmp_path / "out"


def test_a_folder_and_its_base_are_searched_equally_deep_whatever_the_budget_buys(folder_with_base, monkeypatch):
    folder, base, out = folder_with_base
    size = ModelSize.of(models.colour_classifier())
    full = Budget(size, (*STATISTICS.values(), Examination())).cost(TINY)
    speed = full / 1.2e6  # by which a million seconds buy less than all; the tests' own seconds are nothing beside it
    speeds = iter((speed, 0.9 * speed, 1.5 * speed))  # of the base, of a slower and of a faster moment
    monkeypatch.setattr("phosphene.scanner.budget.measure_speed", lambda classifier: next(speeds))
    phosphene("scan", folder, *LINE, "--executor", "serial", "--out", out, "--against", base, "--budget", 1e6)
    scans = [Scan.load(out / one.record) for one in load_scans(out / "scans.json").models]
    kept = to_plain(read_base(out / BASE_FILE).base.settings)
    assert len(scans) == 2
    assert kept != to_plain(TINY)
    for one in scans:
        assert one.settings | {"clear": 1.0} == kept  # of a base everything is measured
        assert any("the budget of 1e+06 s bought" in check for check in one.checks)
        assert not any("other settings on the base" in check for check in one.checks)


def test_a_base_of_a_folder_is_measured_once_for_what_is_asked(folder_with_base, monkeypatch):
    folder, base, out = folder_with_base
    measured = []
    monkeypatch.setattr(
        "phosphene.scanner.folder.base.measure_base",
        lambda *given, **more: measured.append(1) or measure_base(*given, **more),
    )

    def run(*options: object) -> list[str]:
        phosphene("scan", folder, *LINE, "--executor", "serial", "--out", out, "--against", base, *options)
        return [one.record for one in load_scans(out / "scans.json").models]

    assert run() == run()
    assert len(measured) == 1
    run("--seed", 1)
    assert len(measured) == 2
    run("--seed", 1, "--std", 0.5)  # the same weights see other numbers
    assert len(measured) == 3
    (out / BASE_FILE).write_text((out / BASE_FILE).read_text().replace('"size": 12', '"size": 13'))
    outcome = phosphene("scan", folder, *LINE, "--out", out, "--against", base, "--seed", 1, "--std", 0.5)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "remove it, and the base is measured again" in outcome.err
