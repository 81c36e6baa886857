"""A scan as a CycloneDX 1.6 bill of materials of one machine-learning model, with its model card.

Source: ECMA-424, CycloneDX Bill of Materials specification 1.6.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from phosphene.core.intervals import wilson
from phosphene.scanner.exports.artifact import Artifact, describe_result
from phosphene.scanner.exports.frameworks import ATLAS, ENTRIES
from phosphene.scanner.exports.optional import describe_optional
from phosphene.scanner.record import Scan

SPEC_VERSION = "1.6"
MODEL = "model"
SEVERITIES = {"backdoor-like": "critical", "suspicious": "medium"}
EMBEDDED_MALICIOUS_CODE = 506  # of the Common Weakness Enumeration


def make_cyclonedx(scan: Scan, artifact: Artifact) -> dict[str, Any]:
    """The bill of materials, as plain JSON. The same scan gives the same serial number."""
    identity = f"{scan.model.fingerprint}/{scan.seed}/{scan.versions.get('phosphene', '')}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, identity)}",
        "version": 1,
        "metadata": {
            "tools": {
                "components": [
                    {"type": "application", "name": "phosphene", "version": scan.versions.get("phosphene", "")}
                ]
            },
        },
        "components": [_describe_model(scan, artifact)],
        **_list_vulnerabilities(scan),
    }


def _describe_model(scan: Scan, artifact: Artifact) -> dict[str, Any]:
    hashes = {} if artifact.sha256 is None else {"hashes": [{"alg": "SHA-256", "content": artifact.sha256}]}
    properties = {
        "phosphene:fingerprint": scan.model.fingerprint,
        "phosphene:verdict": scan.verdict,
        "phosphene:references": f"{scan.calibration.name}: {scan.calibration.models} models",
        "phosphene:seed": str(scan.seed),
        **{f"phosphene:{name}": json.dumps(facts) for name, facts in describe_optional(scan).items()},
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": artifact.name,
        **hashes,
        "modelCard": _make_card(scan),
        "properties": _to_properties(properties),
    }


def _to_properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _make_card(scan: Scan) -> dict[str, Any]:
    form = scan.model.input
    shape = f"image, {form.channels} x {form.size[0]} x {form.size[1]}, values in [0,1]"
    return {
        "modelParameters": {
            "task": "image classification",
            "inputs": [{"format": shape}],
            "outputs": [{"format": f"{scan.model.output_kind} over {scan.model.outputs} classes"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": _list_metrics(scan)},
        "considerations": {"technicalLimitations": [f"not covered by the scan: {one}" for one in scan.not_covered]},
    }


def _list_metrics(scan: Scan) -> list[dict[str, Any]]:
    """p-values, the external one with its interval: the references are a sample of clean models."""
    metrics: list[dict[str, Any]] = [
        {"type": "backdoor scan, p-value", "value": f"{scan.p_value:.6g}"},
        {"type": "backdoor scan, internal p-value", "value": f"{scan.p_internal:.6g}"},
    ]
    if scan.p_external is not None:
        count = scan.calibration.models
        low, high = wilson(min(1.0, max(0.0, (scan.p_external * (count + 1) - 1) / count)), count)
        bounds = {"lowerBound": f"{low:.6g}", "upperBound": f"{high:.6g}"}
        value = f"{scan.p_external:.6g}"
        metrics.append({"type": "backdoor scan, external p-value", "value": value, "confidenceInterval": bounds})
    if scan.own_classes is not None:
        value, slice_ = f"{scan.own_classes.p_value:.6g}", f"assumes that {scan.own_classes.assumes}"
        metrics.append({"type": "backdoor scan, p-value by the model's own classes", "value": value, "slice": slice_})
    if scan.against is not None and scan.against.p_value is not None:
        kind, value = "backdoor scan, p-value of the differences from a base", f"{scan.against.p_value:.6g}"
        metrics.append({"type": kind, "value": value})
    if scan.trigger is not None:
        kind = f"share of generated images that the {scan.trigger.family} candidate turns into the class"
        rate = f"{scan.trigger.flip_rate:.6g}"
        metrics.append({"type": kind, "value": rate, "slice": scan.trigger.target.name})
    return metrics


def _list_vulnerabilities(scan: Scan) -> dict[str, Any]:
    """One that waits for a person's judgement, where the verdict accuses."""
    if scan.verdict not in SEVERITIES:
        return {}
    technique = next(entry for entry in ENTRIES if entry.catalogue == ATLAS)
    return {
        "vulnerabilities": [
            {
                "id": technique.key,
                "source": {"name": technique.catalogue, "url": technique.url},
                "cwes": [EMBEDDED_MALICIOUS_CODE],
                "ratings": [{"severity": SEVERITIES[scan.verdict], "method": "other"}],
                "description": describe_result(scan),
                "analysis": {"state": "in_triage"},
                "affects": [{"ref": MODEL}],
            }
        ]
    }
