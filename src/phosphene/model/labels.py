"""The names of the classes as users give them: a file, a sequence or a mapping from index to name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from phosphene.core.reading import explain, read_text
from phosphene.errors import BadInput

Labels = str | Path | Sequence[str] | Mapping[int, str] | Mapping[str, str] | Mapping[str, int]


def read_labels(labels: Labels | None) -> tuple[str, ...] | None:
    """The names in the order of the outputs. Raises `BadInput` where a class would have none, or two."""
    if labels is None:
        return None
    if isinstance(labels, Mapping):
        return _sort_mapping(labels)
    return _read_file(labels) if isinstance(labels, (str, Path)) else tuple(map(str, labels))


def _sort_mapping(labels: Mapping[int, str] | Mapping[str, str] | Mapping[str, int]) -> tuple[str, ...]:
    """Names by index, as `id2label` has them, or indices by name, as `label2id` and ImageFolder do."""
    try:
        if all(isinstance(value, int) for value in labels.values()):
            names = {int(index): str(name) for name, index in labels.items()}
        else:
            names = {int(index): str(name) for index, name in labels.items()}
    except ValueError as error:
        raise BadInput(f"labels are a mapping with {error}; expected an index for each name, from 0") from error
    if sorted(names) != list(range(len(labels))):
        raise BadInput(
            f"labels have the indices {', '.join(map(str, sorted(names)[:5]))}...; expected each from 0 to "
            f"{len(labels) - 1} once"
        )
    return tuple(names[index] for index in range(len(names)))


def _read_file(labels: str | Path) -> tuple[str, ...]:
    """One class a line; empty lines at the end are nothing, one between classes is refused: which class would it be?"""
    try:
        lines = read_text(Path(labels)).rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"cannot read the labels {str(labels)!r}: {explain(error)}; expected one class a line"
        ) from error
    names = tuple(line.strip() for line in lines)
    if "" in names:
        number = names.index("") + 1
        raise BadInput(
            f"line {number} of the labels {str(labels)!r} is empty; expected one class a line, in the order "
            "of the outputs"
        )
    return names
