"""Text of unknown origin made visible: what would move a cursor, ring a bell or turn the direction of reading."""

from __future__ import annotations

import re

# Controls; marks, embeddings, overrides and isolates of direction; separators of lines; halves of characters.
DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
HIDDEN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufff9-\ufffb{DIRECTION}]")


def make_visible(text: str) -> str:
    """The text with each hidden character as its number, `⟨U+202E⟩`; line ends and tabs stay."""
    return HIDDEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


def make_one_line(text: str) -> str:
    """`make_visible` in one line: line ends become spaces."""
    return make_visible(re.sub(r"\s*[\r\n]\s*", " ", text.strip()))
