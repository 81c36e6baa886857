"""Superclasses of ImageNet's classes: counts that are known, and whose label wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phosphene.errors import UnknownConcept
from phosphene.model.sources.imagenet import imagenet_labels
from phosphene.recipe.grammar import parse
from phosphene.recipe.superclasses import Superclasses, find_offset, pack_indices, read_table, unpack_indices


@pytest.fixture(scope="module")
def labels():
    return imagenet_labels()


def test_dogs_are_the_118_breeds(labels):
    """ImageNet's dogs are classes 151 to 268; wolves, foxes and hyenas follow and are none."""
    assert parse("dog", labels).targets == tuple(range(151, 269))
    assert parse("DOG", labels).name == parse("n02084071", labels).name == parse("domestic dog", labels).name == "dog"


@pytest.mark.parametrize(
    ("word", "inside", "outside"),
    [
        ("bird", (7, 127, 146), (151, 6)),  # cock, white stork, albatross; Chihuahua, stingray
        ("musical instrument", (402, 579, 889), (422, 920)),  # acoustic guitar, grand piano, violin; barbell
        ("snake", (52, 68), (69, 51)),
    ],
)
def test_a_superclass_holds_what_it_should(labels, word, inside, outside):
    targets = set(parse(word, labels).targets)
    assert targets.issuperset(inside)
    assert targets.isdisjoint(outside)


def test_a_label_wins_over_a_superclass(labels):
    assert parse("dog", ["cat", "dog", "bird"]).targets == (1,)
    own = list(labels)
    own[3] = "dog"
    assert parse("dog", own).targets == (3,)
    assert parse("n02084071", own).targets == tuple(range(151, 269))


def test_other_classes_have_no_superclasses(labels):
    for other in (labels[::-1], labels[:999], [str(k) for k in range(1000)]):
        assert find_offset(other) is None
        with pytest.raises(UnknownConcept):
            parse("musical instrument", other)


def test_a_background_class_shifts_them(labels):
    assert parse("dog", ["background", *labels]).targets == tuple(range(152, 270))


def test_short_names_and_wnids_are_known_too(labels):
    short = [label.split(",")[0].replace(" ", "_") for label in labels]
    assert parse("dog", short).targets == parse("dog", list(read_table().wnids)).targets == tuple(range(151, 269))
    assert parse("n02123045", labels).name == "tabby"


def test_a_name_of_several_meanings_lists_their_wnids(labels):
    with pytest.raises(UnknownConcept, match=r"n02121620 \(7: cat, true cat\).*n02127808"):
        parse("cat", labels)
    assert len(parse("true cat", labels).targets) == 7


def test_superclasses_stand_in_sets_and_sums(labels):
    assert parse("dog, goldfish", labels).targets == (1, *range(151, 269))
    assert parse("dog, goldfish", labels).name == "goldfish, dog"
    difference = parse("dog - true cat", labels)
    assert (difference.name, difference.targets) == ("dog - true cat", tuple(range(151, 269)))


def test_every_superclass_is_found_by_the_name_that_it_is_called(labels):
    superclasses = Superclasses(labels)
    rows = superclasses.list_all()
    assert len(rows) > 800
    for row in rows:
        assert (
            superclasses.find(superclasses.display(row)).classes == row.classes == superclasses.find(row.wnid).classes
        )
        assert 1 <= len(row.classes) < 1000


@given(st.sets(st.integers(0, 999), min_size=1))
def test_packed_indices_are_unpacked_again(indices):
    assert unpack_indices(pack_indices(sorted(indices))) == tuple(sorted(indices))
