"""Seeded mutations: of bytes, of text, of JSON by its structure."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", "x", "\x1b[31mred\x1b]0;title\x07", "\u202egpj.exe", "<script>alert(1)</script>", "../../../etc/passwd",
    "/dev/zero", "\ud800", "9" * 5000, "a" * 100_000, "[/red]", "{{ 7 * 7 }}", [], {}, [[]], {"": None}, [None] * 1000,
)  # fmt: skip
ODD_TEXT = (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[2J", b"\r", b"\n\n", b"\xe2\x80\xae", b"9" * 5000, b"\xc3")


def mutate_bytes(chance: Random, content: bytes) -> bytes:
    """One to four changes: bits, bytes, pieces cut, doubled, moved or filled, the end lost, something appended."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        content = chance.choice(BYTE_CHANGES)(chance, content or b"\0")
    return content


def _flip(chance: Random, content: bytes) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]


def _replace(chance: Random, content: bytes) -> bytes:
    place = chance.randrange(min(len(content), chance.choice((16, 512, 1 << 30))))
    return content[:place] + chance.randbytes(chance.choice((1, 4, 8))) + content[place + 1 :]


def _cut(chance: Random, content: bytes) -> bytes:
    start, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:start] + content[end:]


def _truncate(chance: Random, content: bytes) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _double(chance: Random, content: bytes) -> bytes:
    start = chance.randrange(len(content))
    piece = content[start : start + chance.choice((1, 8, 300))]
    return content[:start] + piece * chance.choice((2, 50)) + content[start:]


def _fill(chance: Random, content: bytes) -> bytes:
    start = chance.randrange(len(content))
    length = chance.choice((4, 8, 64))
    return content[:start] + chance.choice((b"\0", b"\xff", b"\x7f")) * length + content[start + length :]


def _insert(chance: Random, content: bytes) -> bytes:
    place = chance.randrange(len(content) + 1)
    return content[:place] + chance.choice(ODD_TEXT) + content[place:]


def _append(chance: Random, content: bytes) -> bytes:
    return content + chance.randbytes(chance.choice((1, 100, 10_000)))


Change = Callable[[Random, bytes], bytes]
BYTE_CHANGES: tuple[Change, ...] = (_flip, _flip, _replace, _cut, _truncate, _double, _fill, _insert, _append)


def mutate_record(chance: Random, record: Any) -> Any:
    """One to three changes of a JSON value: a key dropped, added or renamed, a value replaced, emptied or nested."""
    copy = json.loads(json.dumps(record))
    for _ in range(chance.choice((1, 1, 2, 3))):
        _change_somewhere(chance, copy)
    return copy


def _change_somewhere(chance: Random, record: Any) -> None:
    """Walk to a random container and change one of its items."""
    container = record
    while True:
        inner = [value for value in _values(container) if isinstance(value, (dict, list)) and value]
        if not inner or chance.random() < 0.3:
            break
        container = chance.choice(inner)
    if not container:
        return
    key = chance.choice(list(container)) if isinstance(container, dict) else chance.randrange(len(container))
    action = chance.randrange(6)
    if action == 0:
        del container[key]
    elif action == 1 and isinstance(container, dict):
        container[chance.choice(("x", "digest", "format", "", "__class__", f"{key} "))] = container.pop(key)
    elif action == 2:
        container[key] = _nest(chance, container[key])
    elif action == 3 and isinstance(container[key], list):
        container[key] = container[key] * chance.choice((0, 2, 3))
    else:
        container[key] = deepcopy(chance.choice(ODD_VALUES))  # or the next change would be one of the list itself


def _values(container: Any) -> list[Any]:
    return list(container.values()) if isinstance(container, dict) else list(container)


def _nest(chance: Random, value: Any) -> Any:
    for _ in range(chance.choice((1, 3, 90))):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def nest_text(depth: int) -> bytes:
    """JSON that is nested deeper than any parser's stack."""
    return b'{"format": 2, "a": ' + b"[" * depth + b"]" * depth + b"}"
