"""The optional evidence of a scan, as its exports name it."""

from __future__ import annotations

from typing import Any

from phosphene.scanner.record import Scan

EXPORTED = ("count", "digest", "role", "tried", "flipped", "shuffled")


def describe_optional(scan: Scan) -> dict[str, Any]:
    """`base`, where there was one: which weights, and what the differences from them are worth; `images`, where there
    were some: how many, and what the candidate does to them. Empty without."""
    found: dict[str, Any] = {}
    against, images = scan.against, scan.images
    if against is not None:
        facts = {"name": against.name, "fingerprint": against.fingerprint, "identical": against.identical}
        found["base"] = {**facts, "method": against.method, "p_value": against.p_value}
    if images is not None:
        found["images"] = {name: getattr(images, name) for name in EXPORTED}
    return found
