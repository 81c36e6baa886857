"""Dataclasses as plain JSON values and back, checked by their types; the one place that knows the JSON library."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

Record = TypeVar("Record")


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as dicts and lists of JSON's own types."""
    return json.loads(json.dumps(msgspec.to_builtins(value, str_keys=True)))


def from_plain(kind: type[Record], plain: Any) -> Record:
    """The inverse of `to_plain`. Raises `ValueError`, in one line, where a field is missing or of another type."""
    try:
        return msgspec.convert(plain, type=kind, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def json_schema(kind: type[Any], name_kind: Callable[[type], dict[str, Any]] | None = None) -> dict[str, Any]:
    """The JSON schema of a dataclass, generated from its types."""
    return msgspec.json.schema(kind, schema_hook=name_kind)
