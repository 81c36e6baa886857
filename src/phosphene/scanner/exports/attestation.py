"""A scan as an in-toto statement with the test-result predicate, to be signed by whoever ran it.

Source: in-toto attestation framework, Statement v1, predicate test-result v0.1.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from phosphene.scanner.exports.artifact import Artifact
from phosphene.scanner.exports.optional import describe_optional
from phosphene.scanner.record import Scan

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
TEST = "phosphene scan"
# PASSED is no result of a scan: it cannot show that a model has no backdoor.
RESULTS = {
    "backdoor-like": "FAILED",
    "suspicious": "FAILED",
    "natural weak spot": "WARNED",
    "inconclusive": "WARNED",
    "nothing found": "WARNED",
}


def make_attestation(scan: Scan, artifact: Artifact) -> dict[str, Any]:
    """The statement, as plain JSON; the subject is the weights file or, of a model without one, its fingerprint."""
    digest = {"phosphene-v1": scan.model.fingerprint} if artifact.sha256 is None else {"sha256": artifact.sha256}
    return {
        "_type": STATEMENT,
        "subject": [{"name": artifact.name, "digest": digest}],
        "predicateType": PREDICATE,
        "predicate": _make_predicate(scan),
    }


def _make_predicate(scan: Scan) -> dict[str, Any]:
    result, test = RESULTS[scan.verdict], f"{TEST}: {scan.verdict} (p = {scan.p_value:.3g})"
    return {
        "result": result,
        "configuration": [_describe_settings(scan)],
        "passedTests": [],
        "warnedTests": [test] if result == "WARNED" else [],
        "failedTests": [test] if result == "FAILED" else [],
    }


def _describe_settings(scan: Scan) -> dict[str, Any]:
    """The settings by their digest, with versions and references beside it."""
    content = json.dumps(dict(scan.settings), sort_keys=True).encode()
    references = f"{scan.calibration.name}: {scan.calibration.models} models"
    if scan.own_classes is not None:
        references = f"the model's own {scan.own_classes.classes} classes"
    annotations: dict[str, Any] = {
        "settings": dict(scan.settings),
        "versions": dict(scan.versions),
        "references": references,
    }
    annotations |= describe_optional(scan)
    return {
        "name": "settings of the scan",
        "digest": {"sha256": hashlib.sha256(content).hexdigest()},
        "annotations": annotations,
    }
