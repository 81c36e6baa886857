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


def test_as_many_maps_are_pinned_as_there_are_cases():
    assert len(RECORDED["maps"]) == sum(len(case.concepts) for case in golden.CASES) >= 40


@same_build
@pytest.mark.parametrize("case", golden.CASES, ids=lambda case: case.key(case.concepts[0]))
def test_every_pinned_map_is_the_same_bit_for_bit(case):
    with golden.fixed_threads():
        found = dict(golden.maps([case]))
    assert found == {name: RECORDED["maps"][name] for name in found}


@same_build
def test_every_pinned_scan_statistic_is_the_same_bit_for_bit():
    with golden.fixed_threads():
        found = dict(golden.scans())
    assert len(golden.SCANNED) >= 6
    assert not golden.differences(RECORDED["scans"], found)
