"""A run: batches, resuming, what is refused, memory, and what `run.json` records."""

from __future__ import annotations

import gc
import json
import os
import pickle
from dataclasses import replace

import pytest
import torch

from models import ConvNet, colour_classifier, colour_net, linear_classifier
from phosphene.errors import BadInput, DamagedArtifact, OtherRecipe, UnknownConcept, WorkerDied
from phosphene.model.checks import CHECKS
from phosphene.model.classifier import Classifier
from phosphene.model.fingerprint import behaves_alike
from phosphene.model.input_format import InputFormat
from phosphene.recipe.concepts import Classes
from phosphene.recipe.distributions import Flat, Folder, Mixture, Pink
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import STILL
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.executors.processes import Processes
from phosphene.runs.executors.serial import Serial
from phosphene.runs.make import make, make_maps
from phosphene.runs.pipeline import DEVELOPMENT_FRAMES
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.store import identity_of

QUICK = Recipe(iterations=4, step=0.1)


def contents(folder) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("*.safetensors")}


def test_maps_come_in_the_order_they_were_asked_for(colour, tmp_path):
    names = ["7", "3", "11 - 2", "5, 6", "3"]
    maps = make_maps(colour, names, QUICK, out=tmp_path)
    assert [saliency.concept for saliency in maps] == ["7", "3", "11 - 2", "5, 6"]
    assert [saliency.targets for saliency in maps] == [(7,), (3,), (11,), (5, 6)]
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_what_is_returned_is_what_was_written(colour, tmp_path):
    (made,) = make_maps(colour, ["7"], QUICK, out=tmp_path)
    loaded = SaliencyMap.load(tmp_path / "7.safetensors")
    assert torch.equal(loaded.map, made.map)
    assert identity_of(loaded) == identity_of(made)
    assert loaded.scores == made.scores


def test_a_finished_map_is_not_touched_again(colour, tmp_path):
    make_maps(colour, ["1", "2"], QUICK, out=tmp_path)
    before = contents(tmp_path)
    planned = []
    maps = make_maps(
        colour, ["2", "1", "3"], QUICK, out=tmp_path, callbacks=Callbacks(on_start=lambda *p: planned.append(p))
    )
    after = contents(tmp_path)
    assert planned == [(1, 4)]
    assert {name: after[name] for name in before} == before
    assert [saliency.concept for saliency in maps] == ["2", "1", "3"]


def test_a_resumed_run_gives_the_maps_of_an_uninterrupted_one(colour, tmp_path):
    make_maps(colour, ["4"], QUICK, out=tmp_path)
    resumed = make_maps(colour, [str(k) for k in range(11)], QUICK, out=tmp_path)
    whole = make_maps(colour_classifier(), [str(k) for k in range(11)], QUICK)
    for one, other in zip(resumed, whole, strict=True):
        assert torch.equal(one.map, other.map)
        assert torch.equal(one.picture, other.picture)
        assert one.scores == other.scores


@pytest.mark.parametrize(
    "change",
    [{"iterations": 5}, {"seed": 1}, {"views": STILL}, {"distribution": Pink()}, {"score": "margin"}],
    ids=repr,
)
def test_a_map_of_another_recipe_is_neither_taken_nor_overwritten(colour, tmp_path, change):
    make_maps(colour, ["1"], QUICK, out=tmp_path)
    before = contents(tmp_path)
    with pytest.raises(OtherRecipe, match="--overwrite"):
        make_maps(colour, ["1"], replace(QUICK, **change), out=tmp_path)
    assert contents(tmp_path) == before
    (made,) = make_maps(colour, ["1"], replace(QUICK, **change), out=tmp_path, overwrite=True)
    assert torch.equal(SaliencyMap.load(tmp_path / "1.safetensors").map, made.map)
    assert contents(tmp_path) != before


def test_a_map_of_before_there_were_all_slots_is_taken(colour, tmp_path):
    (made,) = make_maps(colour, ["1"], QUICK, out=tmp_path)
    younger = ("restarts", "coarse")
    replace(made, recipe={key: value for key, value in made.recipe.items() if key not in younger}).save(
        tmp_path / "1.safetensors"
    )
    before = contents(tmp_path)
    make_maps(colour, ["1"], QUICK, out=tmp_path)
    assert contents(tmp_path) == before
    with pytest.raises(OtherRecipe):
        make_maps(colour, ["1"], replace(QUICK, coarse=0.5), out=tmp_path)


def test_a_map_of_a_version_that_knows_more_slots_is_not_taken(colour, tmp_path):
    (made,) = make_maps(colour, ["1"], QUICK, out=tmp_path)
    replace(made, recipe={**made.recipe, "unheard": 1}).save(tmp_path / "1.safetensors")
    with pytest.raises(OtherRecipe, match="unheard"):
        make_maps(colour, ["1"], QUICK, out=tmp_path)


def test_a_map_of_another_model_is_neither_taken_nor_overwritten(colour, tmp_path):
    make_maps(colour, ["1"], QUICK, out=tmp_path)
    for other in (
        Classifier(ConvNet(3, 20, seed=1), colour.format, name="colour"),
        Classifier(colour_net(), InputFormat((32, 32), 3, (0.5,), (0.5,)), name="colour"),
    ):
        with pytest.raises(OtherRecipe):
            make_maps(other, ["1"], QUICK, out=tmp_path)


def test_a_refused_run_leaves_the_folder_as_it_was(colour, tmp_path):
    make_maps(colour, ["1"], QUICK, out=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OtherRecipe):
        make_maps(colour, ["2", "1"], replace(QUICK, seed=1), out=tmp_path)
    with pytest.raises(UnknownConcept):
        make_maps(colour, ["2", "20"], QUICK, out=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_damaged_map_is_set_aside_and_made_again(colour, tmp_path):
    make_maps(colour, ["1", "2"], QUICK, out=tmp_path)
    path = tmp_path / "1.safetensors"
    good = SaliencyMap.load(path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    warnings = []
    make_maps(colour, ["1", "2"], QUICK, out=tmp_path, callbacks=Callbacks(on_warning=warnings.append))
    assert len(warnings) == 1
    assert "damaged" in warnings[0]
    assert (tmp_path / "1.safetensors.damaged-1").read_bytes() == bytes(content)
    assert torch.equal(SaliencyMap.load(path).map, good.map)


def test_a_foreign_file_in_the_way_is_kept(colour, tmp_path):
    (tmp_path / "1.safetensors").write_bytes(b"my own notes")
    make_maps(colour, ["1"], QUICK, out=tmp_path)
    assert (tmp_path / "1.safetensors.damaged-1").read_bytes() == b"my own notes"


def test_a_concept_of_the_same_name_with_other_targets_is_not_confused(colour, tmp_path):
    make_maps(colour, [Classes((1,), "mine")], QUICK, out=tmp_path)
    with pytest.raises(OtherRecipe):
        make_maps(colour, [Classes((2,), "mine")], QUICK, out=tmp_path)


def test_two_different_concepts_of_one_name_in_a_run_are_refused(colour):
    with pytest.raises(BadInput):
        make_maps(colour, [Classes((1,), "mine"), Classes((2,), "mine")], QUICK)


def test_run_json_records_model_recipe_and_files(colour, tmp_path):
    make_maps(colour, ["1", "3 - 2"], QUICK, out=tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["model"]["fingerprint"] == colour.fingerprint
    assert run["model"]["input"] == {"size": [32, 32], "channels": 3, "mean": [0.5], "std": [0.25]}
    assert Recipe.from_json(run["recipe"]) == QUICK
    assert [entry["concept"] for entry in run["maps"]] == ["1", "3 - 2"]
    for entry in run["maps"]:
        assert (tmp_path / entry["file"]).is_file()
        assert (tmp_path / entry["picture"]).is_file()


def test_a_map_records_how_it_was_made(colour):
    (saliency,) = make_maps(colour, ["1"], replace(QUICK, samples=2))
    assert Recipe.from_json(saliency.recipe) == replace(QUICK, samples=2)
    assert saliency.model.fingerprint == colour.fingerprint
    assert len(saliency.trace) == 4
    assert saliency.passes >= 8
    assert set(saliency.versions) >= {"phosphene", "torch"}
    assert set(saliency.scores.fidelity_elsewhere) == {"uniform", "pink", "flat"}
    assert len(saliency.scores.top5) == 5


@pytest.mark.parametrize("iterations", [1, 2, 4, 12, 13, 40])
def test_the_development_ends_with_the_raw_picture(colour, iterations):
    (saliency,) = make_maps(colour, ["1"], replace(QUICK, iterations=iterations))
    assert 1 <= len(saliency.development) <= min(DEVELOPMENT_FRAMES, iterations)
    assert torch.equal(saliency.development[-1], (saliency.raw_picture * 255).round().byte())


def test_the_ranges_are_as_documented(colour, grey):
    for classifier in (colour, grey):
        (saliency,) = make_maps(classifier, ["1"], QUICK)
        assert saliency.map.shape == saliency.picture.shape == saliency.raw_picture.shape == classifier.image_shape
        assert saliency.importance.shape == saliency.mask.shape == classifier.image_shape[1:]
        for tensor in (saliency.importance, saliency.mask, saliency.picture, saliency.raw_picture):
            assert 0 <= tensor.min() <= tensor.max() <= 1


def test_drawing_from_photographs_is_said(colour, tmp_path):
    from PIL import Image

    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    for distribution in (Folder(str(tmp_path)), Mixture((Flat(), Folder(str(tmp_path))))):
        (saliency,) = make_maps(colour, ["1"], replace(QUICK, distribution=distribution))
        assert "data-using" in saliency.checks
    assert "data-using" not in make_maps(colour, ["1"], QUICK)[0].checks


def test_a_map_without_fidelity_raises_its_check():
    """The bias makes class 0 unbeatable: no map of class 1 can be faithful."""
    classifier = linear_classifier((3, 16, 16))
    classifier.module.bias.data[0] = 1e6
    (saliency,) = make_maps(classifier, ["1"], QUICK)
    assert "low-fidelity" in saliency.checks


class Crowded(torch.nn.Module):
    """Runs out of memory when more than `most` images want gradients at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.net, self.most = colour_net(), most

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.requires_grad and len(images) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 999 bytes")
        return self.net(images)


def crowded_classifier(most: int) -> Classifier:
    """Its memory gets crowded after it was loaded."""
    module = Crowded(1000)
    classifier = Classifier(module, colour_classifier().format)
    module.most = most
    return classifier


def test_out_of_memory_halves_the_batch_and_changes_no_map(colour):
    crowded = crowded_classifier(most=3)
    names, warnings = [str(k) for k in range(10)], []
    small = make_maps(crowded, names, QUICK, callbacks=Callbacks(on_warning=warnings.append))
    assert warnings
    assert "out of memory" in warnings[0]
    for one, other in zip(small, make_maps(colour, names, QUICK), strict=True):
        assert torch.equal(one.map, other.map)


def test_a_concept_that_never_fits_into_memory_is_an_error(colour):
    crowded = crowded_classifier(most=0)
    with pytest.raises(BadInput, match="memory"):
        make_maps(crowded, ["1"], replace(QUICK, samples=6))


def test_where_the_jobs_run_changes_no_map(colour):
    names = ["1", "2", "3"]
    here, elsewhere = (make_maps(colour, names, QUICK, executor=executor) for executor in (Serial(), Processes(2)))
    for one, other in zip(here, elsewhere, strict=True):
        assert torch.equal(one.map, other.map)
        assert one.scores == other.scores


def another(name: str) -> Classifier:
    return Classifier(ConvNet(3, 20, seed=1), InputFormat((40, 40), 3, (0.5,), (0.25,)), name=name)


def test_verifiers_give_their_opinion_of_the_bare_picture(colour):
    (saliency,) = make_maps(colour, ["1"], QUICK, verifiers=[another("second")])
    (opinion,) = saliency.scores.opinions
    assert opinion.model == "second"
    shares = [guess.probability for guess in opinion.top5]
    assert len(shares) == 5
    assert shares == sorted(shares, reverse=True)


def test_a_finished_map_gains_the_opinion_that_it_lacks_and_nothing_else(colour, tmp_path):
    (first,) = make_maps(colour, ["1"], QUICK, out=tmp_path)
    make_maps(colour, ["1"], QUICK, out=tmp_path, verifiers=[another("second")])
    before = contents(tmp_path)
    make_maps(colour, ["1"], QUICK, out=tmp_path, verifiers=[another("second")])
    assert contents(tmp_path) == before
    loaded = SaliencyMap.load(tmp_path / "1.safetensors")
    assert [opinion.model for opinion in loaded.scores.opinions] == ["second"]
    assert torch.equal(loaded.map, first.map)
    (whole,) = make_maps(colour, ["1"], QUICK, verifiers=[another("second")])
    assert loaded.scores == whole.scores


def test_a_verifier_of_other_classes_is_refused(colour, grey):
    with pytest.raises(BadInput, match="cannot verify"):
        make_maps(colour, ["1"], QUICK, verifiers=[grey])


def test_other_errors_of_the_model_are_not_taken_for_a_lack_of_memory(colour):
    class Breaks(Classes):
        def score(self, outputs):
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        make_maps(colour, [Breaks((1,), "x")], QUICK)


def test_no_concept_is_an_error(colour):
    with pytest.raises(BadInput, match="no concept"):
        make_maps(colour, [])


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_makes_a_map(grey, preset):
    recipe = replace(PRESETS[preset], iterations=4, refine_every=min(2, PRESETS[preset].refine_every))
    (saliency,) = make_maps(grey, ["3"], recipe)
    assert saliency.map.isfinite().all()
    assert saliency.map.any()


def test_the_users_model_is_not_changed_by_a_run(colour):
    before = {name: tensor.clone() for name, tensor in colour.module.state_dict().items()}
    kinds = [type(module) for module in colour.module.modules()]
    make_maps(colour, ["1"], QUICK)
    assert [type(module) for module in colour.module.modules()] == kinds
    assert all(torch.equal(tensor, before[name]) for name, tensor in colour.module.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in colour.module.modules())


def test_the_sequence_of_maps_keeps_none_in_memory(colour, tmp_path):
    maps = make_maps(colour, ["1", "2"], QUICK, out=tmp_path)
    assert maps[0] is not maps[0]
    assert [one.concept for one in maps[:1]] == ["1"]
    (tmp_path / "2.safetensors").write_bytes(b"")
    with pytest.raises(DamagedArtifact):
        maps[1]


def test_the_temporary_folder_goes_with_the_sequence(colour):
    maps = make_maps(colour, ["1"], QUICK)
    folder = maps.references[0].path.parent
    assert folder.is_dir()
    del maps
    gc.collect()
    assert not folder.exists()


def test_make_yields_a_reference_as_soon_as_its_map_is_there(colour, tmp_path):
    names = [str(k) for k in range(20)]
    first = next(make(colour.replace(batch_size=4), names, QUICK, tmp_path))
    assert (first.concept, first.path.name) == ("0", "0.safetensors")
    assert first.scores == first.load().scores
    assert not (tmp_path / "19.safetensors").exists()


def test_warnings_of_workers_arrive():
    warnings = []
    callbacks = Callbacks(on_warning=warnings.append)
    made = make_maps(crowded_classifier(most=3), ["1", "2"], QUICK, executor=Processes(1), callbacks=callbacks)
    assert len(made) == 2
    assert warnings
    assert "out of memory" in warnings[0]


class Fatal(Classes):
    def score(self, outputs):
        os._exit(1)


def test_a_worker_that_dies_is_one_line_with_its_concepts(colour, tmp_path):
    make_maps(colour, ["1"], QUICK, out=tmp_path)
    asked = [Classes((1,), "1"), Fatal((2,), "fatal")]
    with pytest.raises(WorkerDied, match="fatal"):
        make_maps(colour, asked, QUICK, out=tmp_path, executor=Processes(1))
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["1.safetensors"]


def test_a_failed_check_survives_the_way_from_a_worker():
    error = pickle.loads(pickle.dumps(CHECKS["not-finite"].failed("the model gives NaN")))
    assert error.check == "not-finite"
    assert "the model gives NaN" in str(error)


def test_a_model_that_cannot_be_pickled_is_refused_by_workers_only(colour):
    class Local(ConvNet):
        pass

    local = Classifier(Local(3, 20), colour.format)
    make_maps(local, ["1"], QUICK)
    with pytest.raises(BadInput, match="cannot be sent to another process"):
        make_maps(local, ["1"], QUICK, executor=Processes(1))


def test_a_changed_copy_has_no_reference_to_the_original(lite0):
    assert lite0.reference is not None
    assert lite0.replace(batch_size=1).reference == lite0.fold().reference == lite0.reference
    assert lite0.resize((112, 112)).reference is None


class Flipped(ConvNet):
    def forward(self, images):
        return super().forward(images.flip(3))


class Squashed(ConvNet):
    def forward(self, images):
        features = self.stem_norm(self.stem(images)).tanh()
        return self.head(self.body_norm(self.body(features)).relu().mean(dim=(2, 3)))


@pytest.mark.parametrize("changed", [Flipped, Squashed])
def test_a_map_of_the_same_weights_in_other_code_is_made_again_and_that_is_told(colour, tmp_path, changed):
    make_maps(colour, ["1"], QUICK, out=tmp_path)
    before = (tmp_path / "1.safetensors").read_bytes()
    warnings = []
    other = Classifier(changed(3, 20), colour.format, name="colour")
    assert other.fingerprint == colour.fingerprint
    callbacks = Callbacks(on_warning=warnings.append)
    (made,) = make_maps(other, ["1"], QUICK, out=tmp_path, callbacks=callbacks)
    assert "computed something else" in warnings[0]
    assert (tmp_path / "1.safetensors.stale-1").read_bytes() == before
    assert made.model.behavior == other.behavior
    make_maps(other, ["1"], QUICK, out=tmp_path, callbacks=callbacks)
    assert len(warnings) == 1


def test_rounding_is_no_other_behavior(colour):
    assert behaves_alike(colour.behavior, tuple(1.001 * value for value in colour.behavior))
    assert behaves_alike(colour.behavior, ())
    assert not behaves_alike(colour.behavior, tuple(-value for value in colour.behavior))


def test_two_verifiers_of_one_name_each_have_their_own_opinion(colour, tmp_path):
    make_maps(colour, ["1"], QUICK, out=tmp_path, verifiers=[another("second")])
    third = Classifier(ConvNet(3, 20, seed=7), InputFormat((40, 40), 3, (0.5,), (0.25,)), name="second")
    (saliency,) = make_maps(colour, ["1"], QUICK, out=tmp_path, verifiers=[third])
    assert [one.fingerprint for one in saliency.scores.opinions] == [another("second").fingerprint, third.fingerprint]
