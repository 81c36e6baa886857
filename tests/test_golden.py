"""The same pictures and the same scan statistics as before, bit for bit, on the build that they were recorded on."""

from __future__ import annotations

import json

import pytest

import golden

RECORDED = json.loads(golden.RECORD.read_text())
same_build = pytest.mark.skipif(
    RECORDED["build"] != golden.build(),
    reason=f"digests are of {RECORDED['build']}, this is {golden.build()}: last bits differ",
)


@same_build
def test_every_pinned_map_is_the_same_bit_for_bit():
    with golden.fixed_threads():
        found = dict(golden.maps())
    assert len(found) >= 40
    assert not golden.differences(RECORDED["maps"], found)


@same_build
def test_every_pinned_scan_statistic_is_the_same_bit_for_bit():
    with golden.fixed_threads():
        found = dict(golden.scans())
    assert len(golden.SCANNED) >= 6
    assert not golden.differences(RECORDED["scans"], found)
