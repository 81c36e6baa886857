"""What the page of a scan says of the user's pictures."""

from __future__ import annotations

from dataclasses import dataclass

from phosphene.core.intervals import wilson
from phosphene.scanner.pictures import STATISTICS_TOO, PicturesUsed
from phosphene.scanner.record import Scan

SEARCHED = (
    "The references were measured on these pictures too, so half of them stood in for surrogates in stamps and "
    "searches; the others, which no search has seen, are counted here."
)
VERIFIED = (
    "The references were measured on surrogates, and so was this model: the p-values are the same as without "
    "pictures. Those counted here were seen by no search."
)
NO_P_VALUE = (
    "These shares are no p-value: in models without a backdoor, too, something is found that sends images to a class."
)


@dataclass(frozen=True)
class PicturesSection:
    """`rows` are what was done to the pictures, how many became the class, and the interval of the share."""

    used: PicturesUsed
    summary: str
    meaning: str
    rows: list[tuple[str, int, float, float]]
    no_p_value: str = NO_P_VALUE


def build_pictures_section(scan: Scan) -> PicturesSection | None:
    """None of a scan without pictures."""
    used = scan.images
    if used is None:
        return None
    rows = [
        (words, count, *wilson(count / used.tried, used.tried))
        for words, count in (("the candidate", used.flipped), ("the same with its pixels shuffled", used.shuffled))
        if used.tried
    ]
    return PicturesSection(used, summarize_pictures(used), SEARCHED if used.role == STATISTICS_TOO else VERIFIED, rows)


def summarize_pictures(used: PicturesUsed) -> str:
    """One sentence: `the candidate turns 18 of 20 into its class, 1 with its pixels shuffled`."""
    if not used.tried:
        return "none that is not of the class already, so the candidate was not tried"
    return (
        f"the candidate turns {used.flipped} of {used.tried} into its class, {used.shuffled} with its pixels shuffled"
    )
