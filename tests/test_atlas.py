"""Every class in one run: the same maps wherever it runs, nothing lost with a class, a worker or the power."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from command import from_factory, phosphene, saved
from models import colour_classifier, colour_net, linear_classifier
from phosphene.atlas.classes import choose_classes
from phosphene.atlas.record import FILE_NAME, load_atlas
from phosphene.atlas.run import make_atlas
from phosphene.atlas.summary import find_entangled, find_worst
from phosphene.core.locks import lock_target
from phosphene.errors import ArtifactError, BadInput, DamagedArtifact, UnknownConcept
from phosphene.evidence.evaluation import evaluate
from phosphene.evidence.settings import Settings
from phosphene.model.reference import ModelReference
from phosphene.recipe.chapters import CHAPTERS, REST, assign_chapters
from phosphene.recipe.concepts import Classes
from phosphene.recipe.recipe import PRESETS
from phosphene.runs import jobs as jobs_module
from phosphene.runs import saliency as saliency_module
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.executors import ray_cluster as ray_cluster_module
from phosphene.runs.executors import worker
from phosphene.runs.executors.processes import Processes
from phosphene.runs.executors.ray_cluster import Ray
from phosphene.runs.executors.serial import Serial
from phosphene.runs.jobs import Job, split_job
from phosphene.runs.open_models import refer_to
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.storage import COMPACT, FULL, Storage, parse_storage

QUICK = replace(PRESETS["fast"], iterations=3)
TWELVE = "0-11"


@pytest.fixture(scope="module")
def colour():
    return colour_classifier()


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return saved(colour_net(), tmp_path_factory.mktemp("weights") / "colour.safetensors")


def run(classifier, folder, classes=TWELVE, **options):
    return make_atlas(classifier, choose_classes(classifier, classes, QUICK), QUICK, out=folder, **options)


def read_all(folder: Path) -> dict[str, object]:
    """Everything that a run has written of its maps, but how long it took."""
    maps = {path.name: SaliencyMap.load(path) for path in sorted(folder.glob("*.safetensors"))}
    pictures = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    tensors = {name: (one.map.numpy().tobytes(), one.importance.numpy().tobytes()) for name, one in maps.items()}
    return {
        "tensors": tensors,
        "pictures": pictures,
        "facts": {n: {**m.facts(), "seconds": 0} for n, m in maps.items()},
    }


@pytest.fixture(scope="module")
def alone(colour, tmp_path_factory) -> Path:
    """An atlas of twelve classes made in this process."""
    folder = tmp_path_factory.mktemp("alone")
    run(colour, folder)
    return folder


@pytest.mark.parametrize("executor", [Processes(2), Ray(2)], ids=["processes", "ray"])
def test_an_atlas_is_the_same_bit_for_bit_wherever_it_is_made(executor, colour, alone, tmp_path, ray_cluster):
    atlas = run(colour, tmp_path, executor=executor)
    assert read_all(tmp_path) == read_all(alone)
    here, there = ([replace(one, seconds=0.0) for one in a.classes] for a in (atlas, load_atlas(alone / FILE_NAME)))
    assert here == there


@dataclass(frozen=True)
class KillsOnce(Classes):
    """Ends the process that asks for it, the first time."""

    flag: str = ""

    def score(self, outputs):
        if not os.path.exists(self.flag):  # noqa: PTH110 - a worker has only its path as text
            open(self.flag, "w").close()  # noqa: PTH123
            os._exit(9)
        return super().score(outputs)


class KillsAlways(Classes):
    def score(self, outputs):
        os._exit(9)


@pytest.mark.parametrize("executor", [Processes(2), Ray(2)], ids=["processes", "ray"])
def test_a_killed_workers_classes_are_made_by_another(executor, colour, alone, tmp_path, ray_cluster):
    classes = choose_classes(colour, TWELVE, QUICK)
    classes[5] = KillsOnce(classes[5].targets, classes[5].name, QUICK.score, str(tmp_path / "killed"))
    atlas = make_atlas(colour, classes, QUICK, out=tmp_path / "maps", executor=executor)
    assert (tmp_path / "killed").exists()
    assert atlas.failures == ()
    assert read_all(tmp_path / "maps") == read_all(alone)


def test_without_a_shared_folder_the_files_of_a_worker_come_back(colour, tmp_path):
    """As on another machine: the marker is not there, and neither is the file of the pickled model."""
    pickles, folder = tmp_path / "pickles", tmp_path / "maps"
    pickles.mkdir()
    folder.mkdir()
    classes = tuple(choose_classes(colour, "4-5", QUICK))
    job = Job(refer_to(colour, pickles), (), classes, QUICK, folder, 4, storage=COMPACT)
    worker.keep_pickled(job, ray_cluster_module._read_pickled([job]))
    shutil.rmtree(pickles)
    job = replace(job, folder=tmp_path / "elsewhere")
    result, files = ray_cluster_module._run_on_node(pickle.dumps(job), ".phosphene-shared-x", [None], 1, [])
    assert sorted(files) == ["4.png", "4.safetensors", "5.png", "5.safetensors"]
    moved = ray_cluster_module._write_files(replace(job, folder=folder), result, files)
    assert [one.path for one in moved.maps] == [folder / "4.safetensors", folder / "5.safetensors"]
    assert moved.maps[0].load().concept == "4"
    assert list(folder.glob(".phosphene*")) == []


def test_a_class_that_kills_every_worker_costs_itself_alone(colour, tmp_path):
    classes = choose_classes(colour, "0-1", QUICK)
    classes[0] = KillsAlways(classes[0].targets, classes[0].name, QUICK.score)
    atlas = make_atlas(colour.replace(batch_size=1), classes, QUICK, out=tmp_path, executor=Processes(1))
    assert [one.concept for one in atlas.failures] == ["0"]
    assert "worker died" in atlas.failures[0].reason
    assert [one.concept for one in atlas.classes] == ["1"]


def test_a_job_that_kills_its_worker_is_tried_concept_by_concept(colour, tmp_path):
    classes = tuple(choose_classes(colour, "0-2", QUICK))
    job = Job(ModelReference("0" * 64), (), classes, QUICK, tmp_path, 4, keep_going=True)
    parts, result = split_job(job)
    assert [part.concepts for part in parts] == [(one,) for one in classes]
    assert result.failures == ()
    assert [failure.concept for failure in split_job(parts[1])[1].failures] == ["1"]


def atlas_command(weights: Path, folder: Path, *more: object):
    quick = ("--preset", "fast", "--iterations", 3, "--executor", "serial", "--classes", TWELVE)
    return phosphene("atlas", *from_factory(weights), *quick, "--out", folder, *more)


def test_a_failed_class_stops_no_other_and_is_tried_again(weights, tmp_path, monkeypatch):
    whole = jobs_module.run_batch

    def fail_at_seven(classifier, concepts, *rest):
        if any(concept.name == "7" for concept in concepts):
            raise ZeroDivisionError("seven")
        return whole(classifier, concepts, *rest)

    monkeypatch.setattr(jobs_module, "run_batch", fail_at_seven)
    outcome = atlas_command(weights, tmp_path)
    assert outcome.code == 3
    assert "7 failed: ZeroDivisionError: seven" in outcome.err
    first = load_atlas(tmp_path / FILE_NAME)
    assert [one.concept for one in first.failures] == ["7"]
    assert len(first.classes) == 11
    written = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}

    monkeypatch.setattr(jobs_module, "run_batch", whole)
    outcome = atlas_command(weights, tmp_path, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["failures"] == []
    assert len(load_atlas(tmp_path / FILE_NAME).classes) == 12
    now = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    assert {name: now[name] for name in written} == written


def test_an_atlas_of_failures_only_is_an_error_with_the_first(colour, tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("all")

    monkeypatch.setattr(jobs_module, "run_batch", fail)
    with pytest.raises(BadInput, match=r"every class failed; the first, 0: ZeroDivisionError: all"):
        run(colour, tmp_path)


def test_a_full_disk_ends_the_run_and_is_no_failure_of_a_class(colour, tmp_path, monkeypatch):
    def refuse(self, path):
        raise ArtifactError("no space left")

    monkeypatch.setattr(SaliencyMap, "save", refuse)
    with pytest.raises(ArtifactError, match="no space left"):
        run(colour, tmp_path)


def test_a_second_atlas_in_the_same_folder_is_refused_with_the_owner(weights, tmp_path):
    with lock_target(tmp_path / FILE_NAME, print):
        outcome = atlas_command(weights, tmp_path)
    assert outcome.code == 2
    assert f"process {os.getpid()} on " in outcome.err
    assert "since " in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert list(tmp_path.glob("*.safetensors")) == []


def test_a_stale_lock_is_taken_over(weights, tmp_path):
    (tmp_path / ".phosphene-lock-atlas.json").write_text(json.dumps({"pid": 1, "host": "gone", "started": "then"}))
    assert atlas_command(weights, tmp_path).code == 0


def test_a_plan_measures_and_leaves_no_folder(weights, tmp_path):
    outcome = atlas_command(weights, tmp_path / "maps", "--plan", "--json")
    plan = json.loads(outcome.out)
    assert not (tmp_path / "maps").exists()
    assert plan["classes"] == 12
    assert plan["total_seconds"] == pytest.approx(plan["seconds"] * 12)
    assert plan["total_bytes"] == pytest.approx(plan["bytes"] * 12)
    atlas_command(weights, tmp_path / "maps")
    real = sum(path.stat().st_size for path in (tmp_path / "maps").glob("[0-9]*")) / 12
    assert plan["bytes"] == pytest.approx(real, rel=0.1)
    assert plan["memory"] > 1e8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--executor", "serial", "--workers", 2), "serial has one"),
        (("--executor", "slurm"), "expected one of serial, processes, ray"),
        (("--address", "auto"), "for --executor ray only"),
        (("--executor", "ray", "--address", "auto", "--workers", 2), "leave one of them out"),
        (("--keep", "map,sound"), "'map'"),
        (("--precision", "double"), "expected one of half, single"),
        (("--classes", "0-20"), "expected a range within 0-19"),
        (("--classes", "dog"), "no class of"),
    ],
)
def test_an_option_that_does_not_fit_is_one_line(weights, tmp_path, options, said):
    outcome = phosphene("atlas", *from_factory(weights), "--out", tmp_path / "maps", *options)
    assert outcome.code == 2
    assert said in outcome.err
    assert not (tmp_path / "maps").exists()


def test_classes_are_chosen_by_range_family_name_and_file(lite0, tmp_path):
    def choose(asked):
        return [one.targets[0] for one in choose_classes(lite0, str(asked), QUICK)]

    (tmp_path / "some.txt").write_text("# mine\nzebra\n3-5\n4\n")
    assert choose("all") == list(range(1000))
    assert choose("0-99") == list(range(100))
    assert choose("goldfish, 7,goldfish") == [1, 7]
    assert choose(tmp_path / "some.txt") == [340, 3, 4, 5]
    assert len(choose("dog")) == 118
    with pytest.raises(UnknownConcept):
        choose("unicorn")


def test_every_class_of_imagenet_is_in_one_chapter_and_none_of_others(lite0, colour):
    chapters = assign_chapters(lite0.labels)
    assert set(chapters) == {title for title, _ in CHAPTERS} | {REST}
    assert chapters[lite0.labels.index(next(label for label in lite0.labels if "beagle" in label))] == "Dogs"
    assert set(assign_chapters(colour.labels)) == {""}


def test_neighbours_are_the_classes_whose_evidence_is_shared(tmp_path):
    rows = torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    rows[1] = 0.8 * rows[0] + 0.2 * rows[1]  # what raises 0 raises 1, nearly as much as 1 itself
    classifier = linear_classifier(weight=rows)
    recipe = replace(QUICK, iterations=20)
    atlas = make_atlas(classifier, choose_classes(classifier, "all", recipe), recipe, out=tmp_path)
    nearest = {one.concept: one.neighbours[0].concept for one in atlas.classes if one.neighbours}
    assert nearest["0"] == "1"
    assert nearest["1"] == "0"
    assert set(find_entangled(atlas, 1)[0][:2]) == {"0", "1"}


def test_the_worst_classes_come_first(alone):
    worst = find_worst(load_atlas(alone / FILE_NAME), 3)
    assert worst[0].fidelity == min(one.fidelity for one in load_atlas(alone / FILE_NAME).classes)
    assert worst[0].fidelity <= worst[1].fidelity <= worst[2].fidelity


def test_a_changed_atlas_is_refused(alone, tmp_path):
    content = (alone / FILE_NAME).read_text()
    (tmp_path / FILE_NAME).write_text(content.replace('"passes": ', '"passes": 1', 1))
    with pytest.raises(ArtifactError, match="damaged or was changed"):
        load_atlas(tmp_path / FILE_NAME)
    assert load_atlas(tmp_path / "none.json") is None


@pytest.mark.parametrize("storage", [COMPACT, Storage(development=False), Storage(halved=True), Storage(png=False)])
def test_a_map_is_the_same_bytes_when_it_is_read_and_written_again(storage, colour, tmp_path):
    run(colour, tmp_path, "3", storage=storage)
    path = tmp_path / "3.safetensors"
    written = path.read_bytes()
    SaliencyMap.load(path).save(path)
    assert path.read_bytes() == written
    assert (tmp_path / "3.png").exists() == storage.png


def test_a_compact_map_shows_what_the_whole_one_shows(colour, tmp_path):
    for name, storage in (("whole", FULL), ("compact", COMPACT)):
        run(colour, tmp_path / name, "3", storage=storage)
    whole, compact = (SaliencyMap.load(tmp_path / name / "3.safetensors") for name in ("whole", "compact"))
    sizes = [(tmp_path / name / "3.safetensors").stat().st_size for name in ("whole", "compact")]
    assert sizes[1] < sizes[0] / 4
    assert (whole.storage, compact.storage) == (FULL, COMPACT)
    torch.testing.assert_close(compact.map, whole.map, atol=1e-3 * whole.map.abs().max().item(), rtol=1e-3)
    for name in ("picture", "raw_picture", "importance", "mask"):
        torch.testing.assert_close(getattr(compact, name), getattr(whole, name), atol=2.5 / 255, rtol=0)
    assert len(compact.development) == 0
    assert compact.scores == whole.scores


def test_a_map_that_half_precision_cannot_hold_is_kept_whole(colour, tmp_path):
    run(colour, tmp_path, "3")
    saliency = SaliencyMap.load(tmp_path / "3.safetensors")
    for factor in (1e7, 1e-9):
        changed = replace(saliency, map=saliency.map * factor)
        changed.save(tmp_path / "x.safetensors")
        assert torch.equal(SaliencyMap.load(tmp_path / "x.safetensors").map, changed.map)


def test_a_compact_map_without_a_tensor_that_it_names_is_damaged(colour, tmp_path, monkeypatch):
    run(colour, tmp_path, "3")
    saliency = SaliencyMap.load(tmp_path / "3.safetensors")
    monkeypatch.setattr(saliency_module, "encode", lambda tensors, storage: {"map": tensors["map"]})
    saliency.save(tmp_path / "x.safetensors")
    monkeypatch.undo()
    with pytest.raises(DamagedArtifact, match="expected importance, map, mask"):
        SaliencyMap.load(tmp_path / "x.safetensors")


def test_evidence_of_a_compact_map_leaves_it_compact(colour, tmp_path):
    run(colour, tmp_path, "3,4")
    path = tmp_path / "3.safetensors"
    before, size = SaliencyMap.load(path), path.stat().st_size
    evaluate(tmp_path, colour, settings=Settings(samples=2))
    after = SaliencyMap.load(path)
    assert after.scores.evidence["complexity"]["gini"] > 0
    assert after.storage == COMPACT
    assert torch.equal(after.map, before.map)
    assert path.stat().st_size < 1.5 * size


def test_what_is_kept_is_said_in_words():
    assert parse_storage("all", halved=False) == FULL
    assert parse_storage("png", halved=True) == COMPACT
    assert parse_storage("none", halved=True) == Storage(False, False, False, True)


def test_a_batch_that_did_not_fit_is_not_tried_again(tmp_path):
    from test_runs import crowded_classifier

    warnings: list[str] = []
    callbacks = Callbacks(on_warning=warnings.append)
    run(crowded_classifier(most=3), tmp_path, "0-11", executor=Serial(), callbacks=callbacks)
    assert len(warnings) == len({*warnings})
    assert warnings
