"""Files: what is saved comes back, what was damaged is noticed, and no name leads out of the folder."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from safetensors.torch import save_file

import phosphene.core.files
from phosphene.core.files import prepare_folder, set_aside, write_atomically
from phosphene.core.images import png_bytes, to_image
from phosphene.errors import ArtifactError, DamagedArtifact, PhospheneError
from phosphene.method.fidelity import Fidelity
from phosphene.model.input_format import InputFormat
from phosphene.model.record import ModelRecord
from phosphene.recipe.names import class_names
from phosphene.runs.saliency import TENSORS, SaliencyMap, digest_artifact
from phosphene.runs.scores import ChannelScore, Guess, MaskScore, Opinion, Scores
from phosphene.runs.store import file_stem, load_all

SCORES = Scores(
    fidelity=Fidelity(0.1 + 0.2, 1.0),
    fidelity_elsewhere={"pink": Fidelity(0.25, 0.5)},
    refined_fidelity=Fidelity(0.3, 1.0),
    refinement=MaskScore("blocks.5", 0.31),
    top5=(Guess(281, "tabby", 0.9),),
    top5_refined=(Guess(281, "tabby", 0.8),),
    scale=1.7,
    restarts=2,
    opinions=(Opinion("lite1", True, -0.1, (Guess(281, "tabby", 0.9),), "f11"),),
    channel=ChannelScore("blocks.5", (3, 4), 7.5, 6.0, 0.1, 3.09),
    evidence={"gain": {"plus": [0.5, None]}},
)


def example(channels: int = 3, seed: int = 0, concept: str = "tabby") -> SaliencyMap:
    generator = torch.Generator().manual_seed(seed)
    picture = torch.rand(channels, 6, 5, generator=generator)
    return SaliencyMap(
        concept=concept,
        targets=(281,),
        map=torch.randn(channels, 6, 5, generator=generator),
        importance=torch.rand(6, 5, generator=generator),
        mask=torch.rand(6, 5, generator=generator),
        picture=picture,
        raw_picture=1 - picture,
        development=torch.randint(256, (2, channels, 6, 5), generator=generator).byte(),
        recipe={"step": 0.02, "views": {"kind": "views", "zoom": [0.8, 1.2]}},
        model=ModelRecord("lite0", "f00", InputFormat((6, 5), channels, (0.5,), (0.25,)), 1000),
        scores=SCORES,
        checks=("unrefined",),
        trace=(0.1, -3.25),
        versions={"torch": "2"},
        passes=128,
        seconds=5.25,
    )


def assert_equal(a: SaliencyMap, b: SaliencyMap) -> None:
    for entry in fields(SaliencyMap):
        mine, other = getattr(a, entry.name), getattr(b, entry.name)
        if entry.name in TENSORS:
            assert mine.dtype == other.dtype, entry.name
            assert torch.equal(mine, other), entry.name
        else:
            assert (type(mine), mine) == (type(other), other), entry.name


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("concept", ["tabby", "ça & là → 猫", "a - b"])
def test_loading_undoes_saving(tmp_path, channels, concept):
    saliency = example(channels, concept=concept)
    saliency.save(tmp_path / "x.safetensors")
    assert_equal(SaliencyMap.load(tmp_path / "x.safetensors"), saliency)


def test_awkward_numbers_survive(tmp_path):
    saliency = example()
    saliency.map[0, 0, :4] = torch.tensor([-0.0, 1e-45, 3e38, -1e38])
    saliency.save(tmp_path / "x.safetensors")
    assert_equal(SaliencyMap.load(tmp_path / "x.safetensors"), saliency)


def test_the_same_map_is_the_same_bytes(tmp_path):
    example().save(tmp_path / "x.safetensors")
    SaliencyMap.load(tmp_path / "x.safetensors").save(tmp_path / "y.safetensors")
    for ending in ("safetensors", "png"):
        assert (tmp_path / f"x.{ending}").read_bytes() == (tmp_path / f"y.{ending}").read_bytes()


def test_a_map_that_is_a_view_of_another_tensor_is_saved(tmp_path):
    strided = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(0)).permute(2, 0, 1).requires_grad_()
    saliency = replace(example(), map=strided)
    saliency.save(tmp_path / "x.safetensors")
    assert torch.equal(SaliencyMap.load(tmp_path / "x.safetensors").map, strided)


def flips(content: bytes) -> list[tuple[int, int]]:
    """200 random positions over the whole file and 200 over the header, each with a random bit pattern."""
    chance = random.Random(0)
    header = 8 + int.from_bytes(content[:8], "little")
    places = [*range(16), *chance.sample(range(header), 200), *chance.sample(range(len(content)), 200)]
    return [(place, chance.randrange(1, 256)) for place in places]


def test_a_flipped_byte_is_detected_or_changes_nothing(tmp_path):
    saliency, path = example(), tmp_path / "x.safetensors"
    saliency.save(path)
    content, detected = path.read_bytes(), 0
    for place, pattern in flips(content):
        path.write_bytes(content[:place] + bytes([content[place] ^ pattern]) + content[place + 1 :])
        try:
            loaded = SaliencyMap.load(path)
        except DamagedArtifact:
            detected += 1
        else:
            assert_equal(loaded, saliency)
    assert detected > 390


def test_every_single_bit_of_the_tensors_is_guarded(tmp_path):
    path = tmp_path / "x.safetensors"
    example().save(path)
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for place in range(start, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        with pytest.raises(DamagedArtifact):
            SaliencyMap.load(path)


@pytest.mark.parametrize("keep", [0, 1, 8, 100, 0.5, -1])
def test_a_truncated_file_is_detected(tmp_path, keep):
    path = tmp_path / "x.safetensors"
    example().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(DamagedArtifact):
        SaliencyMap.load(path)


def test_a_longer_file_is_detected(tmp_path):
    path = tmp_path / "x.safetensors"
    example().save(path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DamagedArtifact):
        SaliencyMap.load(path)


@pytest.mark.parametrize(
    "metadata", [None, {"phosphene": "{}"}, {"phosphene": "[]"}, {"phosphene": '"x"'}, {"phosphene": "no json"}]
)
def test_foreign_safetensors_are_refused(tmp_path, metadata):
    save_file({"weight": torch.zeros(2)}, tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(DamagedArtifact, match="damaged"):
        SaliencyMap.load(tmp_path / "x.safetensors")


def test_a_missing_or_unreadable_file_is_an_artifact_error(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ArtifactError, match="cannot read"):
            SaliencyMap.load(path)


HOSTILE = [
    "../../etc/passwd", "", "/", "\\", "..", ".", "x" * 5000, "a/b", "a\\b", "a\0b", "a\nb", "猫", "犬", "ß", "CON", "-rf",
    "a b", "a-b", "A b", "a  b", "a b ", "a.b", "~", "$HOME", "tabby - tiger cat", "tabby-tiger cat", "tabby tiger cat",
]  # fmt: skip


def test_file_names_of_hostile_concepts_are_safe_and_distinct():
    stems = [file_stem(concept) for concept in HOSTILE]
    assert len({stem.casefold() for stem in stems}) == len(HOSTILE)
    for stem in stems:
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,80}", stem), stem


@given(st.lists(st.text(max_size=90), min_size=2, max_size=8, unique=True))
def test_different_concepts_have_different_file_names(concepts):
    stems = [file_stem(concept) for concept in concepts]
    assert len(set(stems)) == len(concepts)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,80}", stem) for stem in stems)


def test_plain_names_stay_readable():
    assert file_stem("golden retriever") == "golden-retriever"


def test_every_imagenet_class_has_a_file_name_of_its_own(lite0):

    stems = {file_stem(name) for name in class_names(lite0.labels)}
    assert len(stems) == 1000


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    write_atomically(tmp_path / "x", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match="No space left on device"):
        write_atomically(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_the_content_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order = []
    flush, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: order.append("flush") or flush(descriptor))
    monkeypatch.setattr(Path, "replace", lambda old, new: order.append("rename") or rename(old, new))
    write_atomically(tmp_path / "x", b"content")
    assert order[:2] == ["flush", "rename"]


def test_a_damaged_file_is_set_aside_and_none_is_lost(tmp_path):
    for content in (b"first", b"second"):
        (tmp_path / "x.safetensors").write_bytes(content)
        set_aside(tmp_path / "x.safetensors")
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"first", b"second"}
    assert not list(tmp_path.glob("*.safetensors"))


DEAD = 2**22 + 1  # above the largest process number


def test_preparing_a_folder_clears_leftovers_of_dead_processes_only(tmp_path):
    leftover = tmp_path / f".phosphene-{DEAD}-x.safetensors.tmp"
    alive = tmp_path / f".phosphene-{os.getppid()}-x.safetensors.tmp"
    notes = tmp_path / ".phosphene-notes.tmp"
    mine = tmp_path / "mine.tmp"
    for path in (leftover, alive, notes, mine):
        path.write_bytes(b"x")
    prepare_folder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([alive, notes, mine])


def test_a_folder_that_cannot_be_made_is_an_artifact_error(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(ArtifactError, match="cannot write"):
            prepare_folder(folder)


@contextlib.contextmanager
def somebody_without_rights():
    """Root may write anywhere, so it becomes nobody for the while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_without_permission_is_an_artifact_error(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with somebody_without_rights(), pytest.raises(ArtifactError, match="cannot write"):
            prepare_folder(tmp_path)
    finally:
        tmp_path.chmod(0o755)


def test_maps_are_read_in_the_order_of_the_run(tmp_path):
    for name in ("b", "c", "a"):
        example(concept=name).save(tmp_path / f"{name}.safetensors")
    (tmp_path / "run.json").write_text('{"maps": [{"file": "c.safetensors"}, {"file": "b.safetensors"}]}')
    assert [saliency.concept for saliency in load_all(tmp_path)] == ["c", "b", "a"]
    for broken in ("", "[]", "[1]", '{"maps": 3}', '{"maps": [{}]}', "\xff"):
        (tmp_path / "run.json").write_text(broken, encoding="latin-1")
        with pytest.raises(ArtifactError, match=r"run\.json"):
            load_all(tmp_path)
    (tmp_path / "run.json").unlink()
    assert [saliency.concept for saliency in load_all(tmp_path)] == ["a", "b", "c"]


def test_an_empty_or_missing_folder_is_an_artifact_error(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ArtifactError):
            load_all(folder)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_png_holds_the_picture(channels):
    import io

    import numpy as np
    from PIL import Image

    picture = example(channels).picture
    pixels = torch.from_numpy(np.asarray(Image.open(io.BytesIO(png_bytes(picture)))).copy()).float() / 255
    shown = picture if channels == 3 else picture.mean(dim=0, keepdim=True)
    torch.testing.assert_close(pixels.reshape(6, 5, -1).permute(2, 0, 1), shown, atol=0.5 / 255 + 1e-6, rtol=0)


def test_a_picture_out_of_range_is_clamped():
    image = to_image(torch.tensor([[-1.0, 0.5, 2.0]]))
    assert [image.getpixel((x, 0)) for x in range(3)] == [0, 128, 255]


def test_the_index_of_a_set_is_none():
    assert example().index == 281
    assert replace(example(), targets=(1, 2)).index is None


def test_every_error_of_an_artifact_is_a_phosphene_error():
    assert issubclass(DamagedArtifact, ArtifactError)
    assert issubclass(ArtifactError, PhospheneError)


def test_an_interruption_before_the_rename_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupted(old, new):
        raise KeyboardInterrupt

    (tmp_path / "a.png").write_bytes(b"old")
    monkeypatch.setattr("pathlib.Path.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        phosphene.core.files.write_atomically(tmp_path / "a.png", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def rewrite_header(path, change) -> None:
    """The artifact with its record changed, and a digest that fits."""
    content = path.read_bytes()
    tensors = tensors_from_bytes(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    record = json.loads(header["__metadata__"]["phosphene"])
    record.pop("digest")
    change(record)
    record["digest"] = digest_artifact(tensors, record)
    path.write_bytes(tensors_to_bytes(tensors, metadata={"phosphene": json.dumps(record)}))


@pytest.mark.parametrize("written", [0, 3, "2", None])
def test_a_format_of_another_version_is_refused_by_its_number(tmp_path, written):
    path = tmp_path / "x.safetensors"
    example().save(path)
    rewrite_header(path, lambda record: record.update(format=written))
    with pytest.raises(DamagedArtifact, match="format"):
        SaliencyMap.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("scores"),
        lambda record: record.pop("format"),
        lambda record: record["scores"].pop("fidelity"),
        lambda record: record["scores"].update(top5=3),
        lambda record: record["scores"]["fidelity"].update(top1="high"),
        lambda record: record["model"].update(input={"size": [0, 0]}),
        lambda record: record.update(targets="all"),
    ],
)
def test_a_record_that_lacks_something_is_one_error(tmp_path, change):
    path = tmp_path / "x.safetensors"
    example().save(path)
    rewrite_header(path, change)
    with pytest.raises(DamagedArtifact):
        SaliencyMap.load(path)


def test_scores_of_version_0_1_are_read(tmp_path):
    path = tmp_path / "x.safetensors"
    example().save(path)

    def downgrade(record):
        scores = record["scores"]
        scores["fidelity"] = {"own": scores["fidelity"], **scores.pop("fidelity_elsewhere")}
        scores["attempts"], scores["verifiers"] = scores.pop("restarts"), scores.pop("opinions")
        for opinion in scores["verifiers"]:
            del opinion["fingerprint"]
        record["format"] = 1

    rewrite_header(path, downgrade)
    opinions = (replace(SCORES.opinions[0], fingerprint=""),)
    assert SaliencyMap.load(path).scores == replace(SCORES, opinions=opinions)
