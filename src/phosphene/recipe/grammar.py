"""Text to concept, the grammar of the command line.

    goldfish                     a class, by any of its names, whatever the case
    207, index:207               a class, by its index; a class that is called 207 comes first, unless `index:` is said
    beagle, pug, collie          a set: any of them will do
    @dogs.txt                    a set from a file, one name or index a line
    dog, n02084071               a superclass in WordNet of ImageNet's classes, for a model that has these
    tabby - tiger cat            what tells one from the other
    0.5 * zebra + 2 * horse cart a weighted sum
    blocks.4:37                  channel 37 of a layer, its mean over the image
    blocks.4:37@center           the neuron in the middle of that channel
    blocks.4:37@2,5              its neuron in row 2 and column 5 of the feature map
    blocks.4:@stripes.npy        a direction in the layer's channels, from a file with a number for each
    blocks.4:@zebras vs @horses  the direction that tells the images of one folder from those of another; it uses data
    a red triangle               a text, for a model that compares images with texts

Operators stand between spaces, so that `black-and-tan coonhound` stays one name. What is the name of a class means that
class, also where it holds a comma or an operator: the longest name wins. To a model that reads texts, what names no
class is a text, commas included.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from phosphene.core.reading import explain, read_text
from phosphene.errors import BadInput
from phosphene.recipe.concepts import Channel, Classes, Concept, Direction, Origin, Text, Weighted
from phosphene.recipe.directions import read_direction
from phosphene.recipe.names import NUMBER, ClassNames, Found
from phosphene.recipe.scores import SCORES

Atom = Classes | Channel | Direction | Text
Term = tuple[float, Atom]  # weight and what is weighted
LAYER = re.compile(r"([\w./]+):\s*(@.+|\d.*)")
CHANNEL = re.compile(r"(\d+)(@center|@\d+,\d+)?")
WEIGHTED = re.compile(r"(-?\d+(?:\.\d*)?|\.\d+)\s*\*\s*(.+)")
PLACE = re.compile(r".*@\s*(center|\d+(\s*,\s*\d+)?)")


class Resolver(Protocol):
    """What a concept needs the model for, beside its labels."""

    @property
    def reads_texts(self) -> bool: ...

    def embed_texts(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """The embedding of each text."""

    def fit_direction(self, layer: str, positive: str, negative: str) -> tuple[tuple[float, ...], Origin]:
        """The direction in a layer that tells the images of one folder from those of another."""


def parse(
    text: str,
    labels: Sequence[str],
    *,
    model: str = "the model",
    scored: str | None = None,
    resolver: Resolver | None = None,
) -> Concept:
    """The concept that `text` names; the classes in it are scored by `scored`, a key of `SCORES`, or
    as the recipe says.

    `labels` holds each class's names, separated by commas. Texts and folders of images need a `resolver`. Raises
    `UnknownConcept` with the closest, or `BadInput`.
    """
    if scored is not None and scored not in SCORES:
        raise BadInput(f"unknown score {scored!r}; expected one of {', '.join(SCORES)}")
    parsed = Parser(ClassNames(labels, model), resolver).parse_terms(text)
    terms = _embed_texts([(weight, _score_by(scored, atom)) for weight, atom in parsed], len(labels), resolver)
    concept = terms[0][1] if len(terms) == 1 and terms[0][0] == 1.0 else Weighted(tuple(terms))
    if not concept.targets:
        raise BadInput(f"{text!r} raises nothing; give at least one class or channel a positive weight")
    return concept


class Parser:
    """Reads the terms of a sum; `names` are those of the classes."""

    def __init__(self, names: ClassNames, resolver: Resolver | None) -> None:
        self.names, self.resolver = names, resolver

    def parse_terms(self, text: str) -> list[Term]:
        stripped = text.strip()
        lead = None if stripped in self.names else re.match(r"[+-]\s+", stripped)
        pieces = self._join_names(re.split(r"(\s+[+-]\s+)", stripped[lead.end() :] if lead else stripped))
        signs = [lead[0] if lead else "+", *pieces[1::2]]
        terms = [self._parse_term(piece) for piece in pieces[::2]]
        return [
            ((-1.0 if "-" in sign else 1.0) * weight, atom) for sign, (weight, atom) in zip(signs, terms, strict=True)
        ]

    def _join_names(self, pieces: Sequence[str]) -> list[str]:
        """Text at even places, separators at odd ones; pieces that are one name of a class or file are joined."""
        joined: list[str] = []
        start = 0
        while start < len(pieces):
            ends = [end for end in range(len(pieces), start, -2) if self._is_name("".join(pieces[start:end]))]
            end = ends[0] if ends else start + 1
            joined += ["".join(pieces[start:end]), *pieces[end : end + 1]]
            start = end + 1
        return joined

    def _is_name(self, text: str) -> bool:
        unweighted = _unweighted(text)
        file = re.fullmatch(r"(?:[\w.]+:)?\s*@(.+)", unweighted)
        return unweighted in self.names or (file is not None and Path(file[1].strip()).exists())

    def _parse_term(self, piece: str) -> Term:
        weighted = None if piece in self.names else WEIGHTED.fullmatch(piece)
        weight, atom = (float(weighted[1]), weighted[2].strip()) if weighted else (1.0, piece.strip())
        if not atom:
            raise BadInput("an empty concept; expected a class name, an index, or a sum such as `tabby - tiger cat`")
        of_layer = None if atom in self.names else LAYER.fullmatch(atom)
        if of_layer and of_layer[1] != "index":
            return weight, self._parse_layer(of_layer[1], of_layer[2].strip(), atom)
        return weight, self._parse_classes(atom)

    def _parse_layer(self, layer: str, rest: str, atom: str) -> Channel | Direction:
        channel = CHANNEL.fullmatch(rest)
        if channel:
            index, place = int(channel[1]), channel[2] or ""
            return Channel(layer + place, (index,), f"{layer}:{index}{place}")
        if not rest.startswith("@"):
            raise BadInput(
                f"{atom!r} is no channel, and no set or sum of them; expected LAYER:CHANNEL, with @center or @Y,X "
                "behind it for one neuron, or a sum such as `blocks.4:3 + blocks.4:5`"
            )
        folders = re.fullmatch(r"@(.+?)\s+vs\s+@?(.+)", rest)
        if folders is None or Path(rest[1:]).exists():
            weights, origin = read_direction(rest[1:].strip())
            return Direction(layer, weights, f"{layer}:{rest}", origin)
        return self._fit_direction(layer, *folders.groups())

    def _fit_direction(self, layer: str, positive: str, negative: str) -> Direction:
        name = f"{layer}:@{positive} vs @{negative}"
        if self.resolver is None:
            raise BadInput(f"{name!r} is fitted to images, which takes the model; no model is open here")
        return Direction(layer, *_swap(name, self.resolver.fit_direction(layer, positive, negative)))

    def _parse_classes(self, atom: str) -> Classes | Text:
        """A class, a superclass, a set of them from a comma list or from a file after `@`, or a text."""
        path = Path(atom[1:].strip()) if atom.startswith("@") and atom not in self.names else None
        if path is not None and (path.exists() or not PLACE.fullmatch(atom)):
            found = [self.names.find_all(word) for word in _read_words(path, self.names)]
            named = path.stem if len({index for one in found for index in one.indices}) > 1 else None
            return _unite(found, named)
        words = [word.strip() for word in self._join_names(re.split(r"(,)", atom))[::2] if word.strip()]
        if self.resolver is not None and self.resolver.reads_texts and not all(map(self._is_class, words)):
            return Text((), " ".join(atom.split()), ())
        _check_words(atom, words, self.names)
        return _unite([self.names.find_all(word) for word in words])

    def _is_class(self, word: str) -> bool:
        return word in self.names or NUMBER.fullmatch(word) is not None


def _swap(name: str, fitted: tuple[tuple[float, ...], Origin]) -> tuple[tuple[float, ...], str, Origin]:
    return fitted[0], name, fitted[1]


def _unweighted(text: str) -> str:
    weighted = WEIGHTED.fullmatch(text.strip())
    return weighted[2] if weighted else text


def _unite(found: Sequence[Found], name: str | None = None) -> Classes:
    """One set of all classes, called by the names of its parts in the order of their first classes."""
    indices = tuple(sorted({index for one in found for index in one.indices}))
    parts = dict.fromkeys(one.name for one in sorted(found, key=lambda one: one.indices))
    return Classes(indices, name or ", ".join(parts))


def _check_words(atom: str, words: Sequence[str], names: ClassNames) -> None:
    """Say what belongs to channels and stands among classes, before a class of that name is looked for."""
    for word in words:
        of_layer = None if word in names else LAYER.fullmatch(word)
        if of_layer and of_layer[1] != "index":
            raise BadInput(
                f"{word!r} is of a layer, and a set holds classes only; got {atom!r}, expected a sum of channels such "
                "as `blocks.4:3 + blocks.4:5`, or classes"
            )
    if PLACE.fullmatch(atom) and not all(word in names for word in words):
        raise BadInput(f"{atom!r} has a place, which only a channel of a layer has; expected LAYER:CHANNEL@Y,X")


def _read_words(path: Path, names: ClassNames) -> list[str]:
    """One name or index a line, without empty lines and comments after `#`; `#` may stand in the name of a class."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"cannot read the set file {str(path)!r}: {explain(error)}; expected one class a line"
        ) from error
    words = [word for line in lines if (word := line.strip() if line in names else line.split("#")[0].strip())]
    if not words:
        raise BadInput(f"the set file {str(path)!r} names no class; expected one name or index a line")
    return words


def _score_by(scored: str | None, atom: Atom) -> Atom:
    return replace(atom, scored=scored) if isinstance(atom, (Classes, Text)) else atom


def _embed_texts(terms: Sequence[Term], classes: int, resolver: Resolver | None) -> list[Term]:
    """The terms with their texts embedded: the logits of these stand behind those of the classes, each once."""
    texts = list(dict.fromkeys(atom.name for _, atom in terms if isinstance(atom, Text)))
    if not texts or resolver is None:
        return list(terms)
    embedded = resolver.embed_texts(texts)
    return [
        (weight, replace(atom, targets=(classes + texts.index(atom.name),), texts=embedded))
        if isinstance(atom, Text)
        else (weight, atom)
        for weight, atom in terms
    ]
