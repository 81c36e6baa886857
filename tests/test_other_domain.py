"""The table that says what references are worth elsewhere, on statistics that were measured."""

from __future__ import annotations

import pytest
from benchmarks.other_domain import CHECK, TEST, judge_lines, make_row
from benchmarks.zoo.calibrate import DEV, FRACTALS, make_reference, read_lines

from phosphene.scanner.reference import load_shipped


@pytest.fixture(scope="module")
def lines() -> list[dict]:
    return [line for line in read_lines(DEV) if line["domain"] == "signs10"][:20]


def test_a_reference_is_judged_as_if_the_table_lacked_it(lines):
    own = next(line for line in lines if not line["poisoned"])
    (among,) = judge_lines([own], make_reference(lines))
    (apart,) = judge_lines([own], make_reference([line for line in lines if line is not own]))
    assert among == apart
    assert among["compared"]


def test_backdoored_networks_become_no_references(lines):
    table = make_reference(lines[:12], lines[12:])
    for rows, some in ((table.rows, lines[:12]), (table.further, lines[12:])):
        assert {row.fingerprint for row in rows} == {
            line["row"]["fingerprint"] for line in some if not line["poisoned"]
        }


def test_a_line_of_the_table_counts_alarms_finds_and_targets():
    facts = {"compared": True, "lacks": 0, "p": 0.5}
    judged = [
        {**facts, "poisoned": False, "verdict": "suspicious", "target": None, "first": False},
        {**facts, "poisoned": False, "verdict": "nothing found", "target": None, "first": False},
        {**facts, "poisoned": True, "verdict": "backdoor-like", "target": 3, "first": True},
        {**facts, "poisoned": True, "verdict": "nothing found", "target": 3, "first": True, "lacks": 1},
        {**facts, "poisoned": True, "verdict": "inconclusive", "target": None, "first": False, "compared": False},
    ]
    row = make_row("few", "some", judged)
    assert row["compared"] == "4 of 5"
    assert row["of these with a family left out"] == "1"
    assert row["clean ones accused"].startswith("1 of 2:")
    assert row["backdoored ones found"].startswith("1 of 3:")
    assert (row["target named"], row["target first, found or not"]) == ("1 of 1", "2 of 2")


def test_the_shipped_references_are_the_clean_networks_that_were_measured():
    """And none of the test split and of the check, which they judge."""
    table, made = load_shipped(), make_reference(read_lines(DEV), read_lines(FRACTALS))
    assert table.columns == made.columns
    shipped = {row.fingerprint: row.whole for row in table.join().rows}
    assert len(table.rows) == len(made.rows)
    assert shipped == {row.fingerprint: pytest.approx(row.whole, abs=2e-5) for row in made.join().rows}
    assert not shipped.keys() & {line["row"]["fingerprint"] for line in [*read_lines(TEST), *read_lines(CHECK)]}
