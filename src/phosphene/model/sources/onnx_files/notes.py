"""What an ONNX file's `metadata_props` say of its classes and of its preprocessing."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from phosphene.errors import BadInput

CLASS_KEYS = ("names", "classes", "labels", "class_names", "class_labels", "id2label")
LONGEST = 1_000_000  # characters of a note that are worth reading


def read_class_names(notes: Mapping[str, str], file: str) -> tuple[str, ...] | None:
    """The names of the classes, where the file holds them once, or several times alike. Raises `BadInput` otherwise."""
    found = {key: names for key in CLASS_KEYS if (names := _parse_names(notes.get(key, ""))) is not None}
    if len(set(found.values())) > 1:
        raise BadInput(f"{file} names its classes under {' and '.join(found)}, not alike; give --labels FILE")
    return next(iter(found.values()), None)


def _parse_names(text: str) -> tuple[str, ...] | None:
    """Of a list, of a mapping from every index, or of lines or words between commas."""
    value = _parse(text)
    if isinstance(value, str):
        value = [part.strip() for part in (value.splitlines() if "\n" in value.strip() else value.split(","))]
    if isinstance(value, Mapping):
        value = _order(value)
    if not isinstance(value, (list, tuple)) or len(value) < 2 or not all(isinstance(one, str) and one for one in value):
        return None
    return tuple(value)


def _order(names: Mapping[Any, Any]) -> list[Any] | None:
    """The values by index; the keys must be all whole numbers from 0 on, as numbers or as text."""
    by_index = {int(key): name for key, name in names.items() if re.fullmatch(r"[0-9]{1,9}", str(key))}
    return [by_index[k] for k in range(len(names))] if by_index.keys() == set(range(len(names))) else None


def _parse(text: str) -> Any:
    """JSON, or what Python writes of a list or a mapping; text that is neither stays text. Nothing is evaluated."""
    if not text or len(text) > LONGEST:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    return text if text.strip()[:1] not in "[{(" else None


def read_normalization(notes: Mapping[str, str], channels: int) -> dict[str, tuple[float, ...]]:
    """`mean` and `std` for images in [0,1], where the file holds both with one number, or one a channel."""
    numbers = {key: _parse_numbers(notes.get(key, "")) for key in ("mean", "std")}
    usable = all(len(values) in (1, channels) and all(map(math.isfinite, values)) for values in numbers.values())
    in_range = usable and max(map(abs, numbers["mean"])) <= 1 and all(0 < value <= 1 for value in numbers["std"])
    return numbers if in_range else {}


def _parse_numbers(text: str) -> tuple[float, ...]:
    value = _parse(text)
    value = value.replace(",", " ").split() if isinstance(value, str) else value
    values: Sequence[Any] = value if isinstance(value, (list, tuple)) else [value]
    try:
        return tuple(float(one) for one in values)
    except (TypeError, ValueError):
        return ()
