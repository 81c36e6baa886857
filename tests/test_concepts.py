"""The grammar of concepts, their scores against values computed by hand, and the laws of their algebra."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import linear_classifier
from phosphene.errors import BadInput, UnknownConcept
from phosphene.model.outputs import OUTPUTS as KINDS
from phosphene.model.outputs import is_top, probability
from phosphene.recipe.concepts import Algebra, Classes, Concept, Weighted
from phosphene.recipe.grammar import parse
from phosphene.recipe.names import class_names
from phosphene.recipe.scores import SCORES

LABELS = ["tabby, tabby cat", "tiger cat", "black-and-tan coonhound", "crane", "crane, Grus", "zebra", "Pug, pug-dog"]
OUTPUTS = torch.tensor([[1.0, 2.0, 0.5, -1.0, 0.0, 3.0, -2.0], [0.0] * 7])


def targets(text: str) -> tuple[int, ...]:
    return parse(text, LABELS).targets


SOFTMAX = KINDS["softmax"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tabby", (0,)),
        ("tabby cat", (0,)),
        ("TABBY Cat", (0,)),
        ("  tabby  ", (0,)),
        ("pug", (6,)),
        ("PUG-DOG", (6,)),
        ("black-and-tan coonhound", (2,)),
        ("grus", (4,)),
        ("5", (5,)),
        ("0", (0,)),
        ("tabby, zebra", (0, 5)),
        ("zebra,tabby,zebra", (0, 5)),
        ("0, zebra", (0, 5)),
        ("3, 4", (3, 4)),
        ("tabby - tiger cat", (0,)),
        ("tabby + tiger cat", (0, 1)),
        ("tabby, pug - tiger cat", (0, 6)),
        ("0.5 * zebra + 2*pug", (5, 6)),
        ("-1 * zebra + pug", (6,)),
        ("tabby-tiger", None),
        ("crane", None),
    ],
)
def test_the_grammar_names_these_classes(text, expected):
    if expected is None:
        with pytest.raises(UnknownConcept):
            targets(text)
    else:
        assert targets(text) == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("TABBY CAT", "tabby"),
        ("0", "tabby"),
        ("pug", "Pug"),
        ("zebra, tabby", "tabby, zebra"),
        ("tabby - tiger cat", "tabby - tiger cat"),
        ("0.5 * zebra + 2*pug", "0.5 * zebra + 2 * Pug"),
        ("1 * zebra", "zebra"),
    ],
)
def test_a_concept_has_one_name_however_it_is_asked_for(text, name):
    assert parse(text, LABELS).name == name


@pytest.mark.parametrize(
    "text",
    ["0", "3", "tabby, zebra", "3, 4", "tabby - tiger cat", "0.5 * zebra + 2 * pug", "-1 * zebra + pug", "2 * 3 - 4",
     "tabby, pug - 3", "0.123456789 * zebra"],
)  # fmt: skip
def test_the_name_of_a_concept_asks_for_the_same_concept(text):
    """It is what a report prints to reproduce a map, and what seeds its generators."""
    concept = parse(text, LABELS)
    again = parse(concept.name, LABELS)
    assert again.targets == concept.targets
    torch.testing.assert_close(again.score(OUTPUTS), concept.score(OUTPUTS))


def test_a_set_can_stand_in_a_file(tmp_path):
    file = tmp_path / "pets.txt"
    file.write_text("# my pets\nPug\n\ntabby cat  # the old one\n5\n", encoding="utf-8")
    concept = parse(f"@{file}", LABELS)
    assert (concept.name, concept.targets) == ("pets", (0, 5, 6))
    difference = parse(f"@{file} - 2 * tiger cat", LABELS)
    assert difference.targets == (0, 5, 6)


@pytest.mark.parametrize("content", ["", "# nothing\n", None])
def test_a_file_that_names_no_class_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "set.txt").write_text(content)
    with pytest.raises(BadInput, match=r"set\.txt"):
        parse(f"@{tmp_path / 'set.txt'}", LABELS)


def test_an_unknown_name_lists_the_closest():
    with pytest.raises(UnknownConcept, match=r"'zebar'.*closest: zebra"):
        parse("zebar", LABELS)
    with pytest.raises(UnknownConcept, match="all 7"):
        parse("qqqqqq", LABELS)


def test_an_index_out_of_range_says_how_many_there_are():
    for index in (1000, -1, 10**12):
        with pytest.raises(UnknownConcept, match=r"1000 outputs.*0 to 999"):
            parse(str(index), [str(k) for k in range(1000)])


def test_a_name_that_two_classes_share_asks_for_the_index():
    with pytest.raises(UnknownConcept, match=r"2 classes.*index:3, index:4"):
        parse("crane", LABELS)


def test_imagenets_crane_is_a_bird_and_a_machine(lite0):
    labels = lite0.labels
    with pytest.raises(UnknownConcept, match="index:134, index:517"):
        parse("crane", labels)
    assert parse("134", labels).name != parse("517", labels).name
    assert parse("goldfish", labels).targets == parse("Carassius AURATUS", labels).targets == (1,)


def test_every_imagenet_class_has_a_name_of_its_own(lite0):
    labels = lite0.labels
    assert len(set(class_names(tuple(labels)))) == len(labels) == 1000


SORTED_NUMBERS = ["1", "10", "11", "2"]  # as a folder of images is sorted
AWKWARD = ["cat, black", "cat", "salt - pepper", "pepper", "C#", "blocks.1:3", "2 * 3", "@home", "dog + cat"]


@pytest.mark.parametrize(
    ("text", "labels", "targets"),
    [
        ("10", SORTED_NUMBERS, (1,)),
        ("index:1", SORTED_NUMBERS, (1,)),
        ("index: 3", SORTED_NUMBERS, (3,)),
        ("10 - 2", SORTED_NUMBERS, (1,)),
        ("2, 1", SORTED_NUMBERS, (0, 3)),
        ("cat, black", AWKWARD, (0,)),
        ("cat, black, pepper", AWKWARD, (0, 3)),
        ("salt - pepper", AWKWARD, (2,)),
        ("salt - pepper - pepper", AWKWARD, (2,)),
        ("2 * salt - pepper", AWKWARD, (2,)),
        ("pepper - salt - pepper", AWKWARD, (3,)),
        ("dog + cat + pepper", AWKWARD, (3, 8)),
        ("c#", AWKWARD, (4,)),
        ("blocks.1:3", AWKWARD, (5,)),
        ("2 * 3", AWKWARD, (6,)),
        ("2 * 2 * 3", AWKWARD, (6,)),
        ("@home", AWKWARD, (7,)),
        ("8", AWKWARD, (8,)),
    ],
)
def test_the_name_of_a_class_wins_over_every_other_reading(text, labels, targets):
    assert parse(text, labels).targets == targets


def test_the_name_that_is_shown_asks_for_the_same_class_whatever_classes_are_called():
    for labels in (SORTED_NUMBERS, AWKWARD[1:], [*SORTED_NUMBERS, "2"]):
        for index, name in enumerate(class_names(tuple(labels))):
            assert parse(name, labels).targets == (index,), name


@pytest.mark.parametrize("text", ["0", "3", "-1"])
def test_a_number_that_is_no_name_is_refused_where_names_are_numbers(text):
    with pytest.raises(UnknownConcept, match=f"write index:{text}"):
        parse(text, SORTED_NUMBERS)


def test_an_index_of_many_digits_is_one_line():
    with pytest.raises(UnknownConcept, match="no class of"):
        parse("9" * 5000, LABELS)


def test_a_set_file_may_have_been_saved_by_any_editor(tmp_path):
    file = tmp_path / "set.txt"
    file.write_bytes("\ufeffC#\r\n\r\npepper  # hot\r\npepper\r\n".encode())
    assert parse(f"@{file}", AWKWARD).targets == (3, 4)


@pytest.mark.parametrize("text", ["", " ", ",", "2 *", "0 * tabby", "-1 * tabby", "1 * ", "@"])
def test_what_asks_for_nothing_is_refused(text):
    with pytest.raises((BadInput, UnknownConcept)):
        parse(text, LABELS)


def test_an_unknown_score_is_refused():
    with pytest.raises(BadInput, match="log_probability"):
        parse("tabby", LABELS, scored="probability")


@pytest.mark.parametrize(
    ("scored", "indices", "expected"),
    [
        ("logit", (1,), 2.0),
        ("logit", (0, 1), math.log(math.e + math.e**2)),
        ("log_probability", (1,), 2.0 - math.log(sum(map(math.exp, OUTPUTS[0].tolist())))),
        ("half_margin", (1,), 2.0 - 0.5 * math.log(sum(map(math.exp, OUTPUTS[0, [0, 2, 3, 4, 5, 6]].tolist())))),
        ("half_margin", range(7), math.log(sum(map(math.exp, OUTPUTS[0].tolist())))),
        ("margin", (1,), 2.0 - 3.0),
        ("margin", (5,), 3.0 - 2.0),
        ("margin", (1, 5), math.log(math.e**2 + math.e**3) - 1.0),
    ],
)
def test_scores_are_those_computed_by_hand(scored, indices, expected):
    score = Classes(indices, "x", scored).score(OUTPUTS)
    assert score.shape == (2,)
    assert score[0].item() == pytest.approx(expected, rel=1e-5)


def test_a_margin_against_nothing_is_refused():
    with pytest.raises(BadInput, match="margin"):
        SCORES["margin"](OUTPUTS, range(7))


def test_a_weighted_sum_scores_the_sum():
    score = parse("2 * tiger cat - 0.5 * zebra", LABELS).score(OUTPUTS)
    assert score.tolist() == pytest.approx([2 * 2.0 - 0.5 * 3.0, 0.0])


def test_probability_and_top_are_of_the_raised_classes():
    concept = parse("tiger cat, zebra - tabby", LABELS)
    exponentials = [math.exp(value) for value in OUTPUTS[0].tolist()]
    expected = (exponentials[1] + exponentials[5]) / sum(exponentials)
    assert probability(OUTPUTS, concept, SOFTMAX)[0].item() == pytest.approx(expected, rel=1e-5)
    assert probability(OUTPUTS, concept, SOFTMAX)[1].item() == pytest.approx(2 / 7)
    assert is_top(OUTPUTS, concept, SOFTMAX).tolist() == [1.0, 0.0]


# Algebra ----------------------------------------------------------------------------------------------------------

atoms = st.builds(
    lambda indices, scored: Classes(tuple(sorted(indices)), "-".join(map(str, sorted(indices))), scored),
    st.sets(st.integers(0, 6), min_size=1, max_size=3), st.sampled_from(sorted(SCORES)),
)  # fmt: skip
concepts = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a, factor: factor * a, inner, st.floats(-3, 3)),
    ),
    max_leaves=4,
)
logits = st.integers(0, 2**31).map(lambda seed: torch.randn(4, 7, generator=torch.Generator().manual_seed(seed)))


def assert_same_score(a: Concept, b: Concept, outputs: torch.Tensor) -> None:
    torch.testing.assert_close(a.score(outputs), b.score(outputs), rtol=1e-4, atol=1e-3)


@given(a=concepts, b=concepts, c=concepts, factor=st.floats(-3, 3), outputs=logits)
def test_concepts_form_a_vector_space(a, b, c, factor, outputs):
    assert_same_score(a + b, b + a, outputs)
    assert_same_score((a + b) + c, a + (b + c), outputs)
    assert_same_score((a + b) - b, a, outputs)
    assert_same_score(a - b, a + -1 * b, outputs)
    assert_same_score(factor * (a + b), factor * a + factor * b, outputs)
    assert_same_score(a * factor, factor * a, outputs)
    assert_same_score(1 * a, a, outputs)
    torch.testing.assert_close((a - a).score(outputs), torch.zeros(4), rtol=0, atol=1e-3)
    torch.testing.assert_close((factor * a).score(outputs), factor * a.score(outputs), rtol=1e-4, atol=1e-3)


@given(a=concepts, b=concepts)
def test_a_sum_of_concepts_is_a_concept(a, b):
    for result in (a + b, a - b, 2 * a):
        assert isinstance(result, Concept)
        assert isinstance(result, Algebra)
        assert result.name == result.name.strip() != ""


def test_a_difference_raises_what_it_adds_and_not_what_it_takes_away():
    a, b, c = (Classes((k,), name) for k, name in enumerate("abc"))
    assert (a - b).targets == (0,)
    assert (a - (b - c)).targets == (0, 2)
    assert (-1 * a + b).targets == (1,)
    assert (a - b).name == "a - b"
    assert (2 * (a - 0.5 * b)).name == "2 * a - b"


def test_a_concept_of_ones_own_joins_the_algebra():
    class Brightest:
        name, targets = "brightest", (0,)

        def score(self, outputs: torch.Tensor) -> torch.Tensor:
            return outputs.amax(dim=1)

    sum_of_both = Classes((1,), "one") + Brightest()
    assert isinstance(sum_of_both, Weighted)
    assert sum_of_both.score(OUTPUTS).tolist() == [5.0, 0.0]


def test_what_is_no_concept_does_not_add():
    with pytest.raises(TypeError, match="concept"):
        Classes((1,), "one") + 3  # type: ignore[operator]


@given(weights=st.lists(st.tuples(st.floats(-3, 3), st.integers(0, 6)), min_size=1, max_size=4))
def test_the_gradient_of_a_linear_model_is_the_same_sum_of_its_rows(weights):
    concept = Weighted(tuple((weight, Classes((index,), str(index))) for weight, index in weights))
    classifier = linear_classifier((1, 3, 4), outputs=7)
    images = torch.full((1, 1, 3, 4), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(concept.score(classifier(images)).sum(), images)
    expected = sum(weight * classifier.module.weight[index] for weight, index in weights)
    torch.testing.assert_close(gradient[0], expected.detach(), rtol=1e-4, atol=1e-3)
