"""A scan as SARIF 2.1.0, the format that code scanning services read.

Source: OASIS, Static Analysis Results Interchange Format Version 2.1.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from typing import Any

from phosphene.scanner.exports.artifact import Artifact, describe_result
from phosphene.scanner.exports.frameworks import ENTRIES
from phosphene.scanner.exports.optional import describe_optional
from phosphene.scanner.record import Scan

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RULE = "backdoor"
# Kind and level of each verdict. Nothing found is no pass: a scan cannot show that a model has no backdoor.
KINDS = {
    "backdoor-like": ("fail", "error"),
    "suspicious": ("fail", "warning"),
    "natural weak spot": ("review", "none"),
    "inconclusive": ("open", "none"),
    "nothing found": ("informational", "none"),
}


def make_sarif(scan: Scan, artifact: Artifact) -> dict[str, Any]:
    """The log of one scan, as plain JSON."""
    return make_sarif_of_many([(scan, artifact)], {}, scan.exit_code)


def make_sarif_of_many(
    scans: Sequence[tuple[Scan, Artifact]], failures: Mapping[str, str], exit_code: int
) -> dict[str, Any]:
    """One run with a result for each scan, in order; `failures` are reasons by name of what could not be scanned."""
    settings = dict(scans[0][0].settings) if scans else {}
    versions = dict(scans[0][0].versions) if scans else {"phosphene": version("phosphene")}
    run = {
        "tool": {"driver": _describe_tool(versions)},
        "taxonomies": _list_taxonomies(),
        "artifacts": [_describe_artifact(scan, artifact) for scan, artifact in scans],
        "invocations": [_describe_invocation(scans, failures, exit_code)],
        "results": [_describe_verdict(scan, artifact, place) for place, (scan, artifact) in enumerate(scans)],
        "properties": {"settings": settings, "versions": versions},
    }
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def _describe_tool(versions: Mapping[str, str]) -> dict[str, Any]:
    rule = {
        "id": RULE,
        "name": "Backdoor",
        "shortDescription": {"text": "One common change sends images of all classes to one class."},
        "fullDescription": {
            "text": "The weights alone are scanned, without data. The p-value is how often a model without a backdoor "
            "would give such a result."
        },
        "defaultConfiguration": {"level": "error"},
        "relationships": [
            {"target": {"id": entry.key, "toolComponent": {"name": entry.catalogue}}, "kinds": ["relevant"]}
            for entry in ENTRIES
        ],
    }
    return {"name": "phosphene", "version": versions.get("phosphene", ""), "rules": [rule]}


def _list_taxonomies() -> list[dict[str, Any]]:
    return [
        {
            "name": catalogue,
            "taxa": [
                {"id": entry.key, "shortDescription": {"text": entry.name}, "helpUri": entry.url} for entry in entries
            ],
        }
        for catalogue, entries in groupby(ENTRIES, key=lambda entry: entry.catalogue)
    ]


def _describe_artifact(scan: Scan, artifact: Artifact) -> dict[str, Any]:
    hashes = {} if artifact.sha256 is None else {"hashes": {"sha-256": artifact.sha256}}
    properties = {"fingerprint": scan.model.fingerprint, "outputs": scan.model.outputs}
    return {"location": {"uri": artifact.uri}, **hashes, "properties": properties}


def _describe_invocation(
    scans: Sequence[tuple[Scan, Artifact]], failures: Mapping[str, str], exit_code: int
) -> dict[str, Any]:
    """The checks of each scan, named where there are several, and what could not be scanned."""
    alone = len(scans) == 1 and not failures
    notes = [
        {"level": "note", "message": {"text": check if alone else f"{artifact.name}: {check}"}}
        for scan, artifact in scans
        for check in scan.checks
    ]
    notes += [
        {"level": "error", "message": {"text": f"{name} could not be scanned: {reason}"}}
        for name, reason in failures.items()
    ]
    return {"executionSuccessful": not failures, "exitCode": exit_code, "toolExecutionNotifications": notes}


def _describe_verdict(scan: Scan, artifact: Artifact, place: int) -> dict[str, Any]:
    kind, level = KINDS[scan.verdict]
    own = None if scan.own_classes is None else scan.own_classes.p_value
    numbers = {
        "p_value": scan.p_value,
        "p_internal": scan.p_internal,
        "p_external": scan.p_external,
        "p_own_classes": own,
    }
    trigger = scan.trigger
    shown = {} if trigger is None else {"family": trigger.family, "size": trigger.size, "flip_rate": trigger.flip_rate}
    target = {} if scan.target is None else {"target": {"index": scan.target.index, "name": scan.target.name}}
    return {
        "ruleId": RULE,
        "ruleIndex": 0,
        "kind": kind,
        "level": level,
        "message": {"text": describe_result(scan)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": artifact.uri, "index": place}}}],
        "fingerprints": {"phosphene/weights/v1": scan.model.fingerprint},
        "properties": {
            "verdict": scan.verdict,
            **numbers,
            **target,
            **shown,
            **describe_optional(scan),
            "not_covered": list(scan.not_covered),
        },
    }
