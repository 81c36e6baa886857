"""The same pictures and the same scan statistics as before, bit for bit, on the build that they were recorded on."""

from __future__ import annotations

import json
from typing import Any

import pytest

import golden

RECORDED = json.loads(golden.RECORD.read_text())


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    made = golden.find()
    if RECORDED["build"] != made["build"]:
        pytest.skip(f"digests are of {RECORDED['build']}, this is {made['build']}: last bits differ")
    return made


def test_every_pinned_map_is_the_same_bit_for_bit(found):
    assert len(found["maps"]) == sum(len(case.concepts) for case in golden.CASES) >= 40
    assert not golden.differences(RECORDED["maps"], found["maps"])


def test_every_pinned_scan_statistic_is_the_same_bit_for_bit(found):
    assert len(golden.SCANNED) >= 6
    assert not golden.differences(RECORDED["scans"], found["scans"])
