"""Dataclasses as plain JSON values and back, checked by their types; the one place that knows the JSON library.

Whatever a file holds, reading it raises one kind of error, a `ValueError` in one line. A sealed record carries a digest
of all it says: what was damaged, or changed by hand, is not taken for what was written. It does not guard against
forgery: whoever can write the file can write its digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import msgspec

Record = TypeVar("Record")

HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as dicts and lists of JSON's own types."""
    return json.loads(json.dumps(msgspec.to_builtins(value, str_keys=True)))


def from_plain(kind: type[Record], plain: Any) -> Record:
    """The inverse of `to_plain`. Raises `ValueError`, in one line, where a field is missing or of another type."""
    try:
        return msgspec.convert(plain, type=kind, strict=False)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def parse_json(content: bytes | str) -> dict[str, Any]:
    """The object that a JSON text holds. Raises `ValueError` where there is none, and where it is nested too deeply or
    holds half a character, which nothing can write again."""
    raw = content.encode() if isinstance(content, str) else content
    try:
        record = json.loads(raw)
        if HALF_CHARACTER.search(raw):  # rare, and dear to look for
            json.dumps(record, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeError as error:
        raise ValueError("its text is not UTF-8") from error
    if not isinstance(record, dict):
        raise ValueError(f"it holds a JSON {type(record).__name__}, expected an object")
    return record


def seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its digest."""
    return {**record, "digest": digest_record(record)}


def open_seal(record: Mapping[str, Any], *, required: bool = False) -> dict[str, Any]:
    """The record without its digest. Raises `ValueError` where it does not match, or is `required` and missing."""
    content = dict(record)
    stated = content.pop("digest", None)
    if (required or stated is not None) and stated != digest_record(content):
        raise ValueError("it is damaged or was changed: its content does not match its digest")
    return content


def digest_record(record: Mapping[str, Any]) -> str:
    """sha256 of a record's canonical JSON."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def check_fields(kind: type[Any], record: Mapping[str, Any]) -> None:
    """Raise `ValueError` where the record has a field that the dataclass has not: it is misspelt or of another
    version, and what it says would be lost in silence."""
    if unknown := sorted(record.keys() - {one.name for one in fields(kind)}):
        raise ValueError(f"it has an unknown field {unknown[0]!r}")


def json_schema(kind: type[Any], name_kind: Callable[[type], dict[str, Any]] | None = None) -> dict[str, Any]:
    """The JSON schema of a dataclass, generated from its types."""
    return msgspec.json.schema(kind, schema_hook=name_kind)


def read_sealed(kind: type[Record], content: bytes, expected: int) -> Record:
    """The record of a sealed JSON text whose `format` is the `expected` one. Raises `ValueError` for any other."""
    record = open_seal(parse_json(content), required=True)
    if record.get("format") != expected:
        raise ValueError(f"its format is {record.get('format')!r}, expected {expected}")
    check_fields(kind, record)
    return from_plain(kind, record)
