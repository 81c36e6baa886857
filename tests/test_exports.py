"""A scan in the forms that auditors file is what their published schemas say, and never an all-clear."""

from __future__ import annotations

import json
import os
import re
import subprocess
import textwrap
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from referencing import Registry
from referencing.jsonschema import DRAFT7

import models
from command import phosphene, saved
from phosphene.scanner.exports.artifact import Artifact, hash_file
from phosphene.scanner.exports.attestation import make_attestation
from phosphene.scanner.exports.cyclonedx import make_cyclonedx
from phosphene.scanner.exports.registry import EXPORTS
from phosphene.scanner.exports.sarif import make_sarif
from phosphene.scanner.record import VERDICTS, Scan, VerdictName
from test_scan_report import made

ROOT = Path(__file__).parents[1]
ARTIFACT = Artifact("suspect model.safetensors", "ab" * 32)
NAMES = get_args(VerdictName)


def scan_of(verdict: str) -> Scan:
    found = made(verdict=verdict)
    return replace(found, target=None) if verdict == "nothing found" else found


def validate_sarif(record: dict) -> None:
    schema = json.loads((ROOT / "tests" / "data" / "schemas" / "sarif-2.1.0-rtm.5.json").read_text())
    jsonschema.validate(record, schema, cls=jsonschema.Draft4Validator)


def validate_cyclonedx(record: dict) -> None:
    folder = resources.files("cyclonedx.schema") / "_res"
    names = ("bom-1.6", "jsf-0.82", "spdx", "cryptography-defs")
    read = [json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text()) for name in names]
    registry = Registry().with_resources([(one["$id"], DRAFT7.create_resource(one)) for one in read])
    jsonschema.Draft7Validator(read[0], registry=registry).validate(record)


def validate_statement(record: dict) -> None:
    """By the messages of the framework: a field that they do not know, or of another type, is refused."""
    statement = json_format.ParseDict(record, statement_pb2.Statement())
    assert statement.predicate_type == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = json_format.ParseDict(record["predicate"], test_result_pb2.TestResult())
    assert predicate.result in ("PASSED", "WARNED", "FAILED")


VALIDATE = {"sarif": validate_sarif, "cyclonedx": validate_cyclonedx, "in-toto": validate_statement}


@pytest.mark.parametrize("verdict", NAMES)
@pytest.mark.parametrize("form", EXPORTS)
def test_every_verdict_in_every_form_is_what_the_published_schema_says(form, verdict):
    for artifact in (ARTIFACT, Artifact("efficientnet_lite0")):
        record = EXPORTS[form](scan_of(verdict), artifact)
        VALIDATE[form](json.loads(json.dumps(record, allow_nan=False)))


@pytest.mark.parametrize("form", EXPORTS)
def test_the_validation_bites(form):
    record = EXPORTS[form](scan_of("suspicious"), ARTIFACT)
    broken = {
        "sarif": lambda: record["runs"][0]["results"][0].update(kind="clean"),
        "cyclonedx": lambda: record["components"][0].update(type="backdoor"),
        "in-toto": lambda: record["predicate"].update(outcome="x"),
    }
    broken[form]()
    with pytest.raises((jsonschema.ValidationError, json_format.ParseError)):
        VALIDATE[form](record)


def test_nothing_found_is_no_pass_in_any_form():
    found = scan_of("nothing found")
    (result,) = make_sarif(found, ARTIFACT)["runs"][0]["results"]
    assert (result["kind"], result["level"]) == ("informational", "none")
    predicate = make_attestation(found, ARTIFACT)["predicate"]
    assert (predicate["result"], predicate["passedTests"]) == ("WARNED", [])
    assert "vulnerabilities" not in make_cyclonedx(found, ARTIFACT)
    for form in EXPORTS:
        text = json.dumps(EXPORTS[form](found, ARTIFACT))
        assert "nothing found" in text
        assert not re.search(r'"(pass|PASSED|not_affected)"', text)


def test_who_accuses_fails_and_names_the_class():
    for verdict in ("backdoor-like", "suspicious"):
        (result,) = make_sarif(scan_of(verdict), ARTIFACT)["runs"][0]["results"]
        assert result["kind"] == "fail"
        assert result["properties"]["target"]["index"] == 2
        assert make_attestation(scan_of(verdict), ARTIFACT)["predicate"]["result"] == "FAILED"
        (vulnerability,) = make_cyclonedx(scan_of(verdict), ARTIFACT)["vulnerabilities"]
        assert vulnerability["analysis"]["state"] == "in_triage"


def test_the_external_p_value_has_its_interval():
    metrics = make_cyclonedx(made(p_external=4 / 61), ARTIFACT)["components"][0]["modelCard"]["quantitativeAnalysis"]
    (external,) = [one for one in metrics["performanceMetrics"] if "external" in one["type"]]
    low, high = (float(external["confidenceInterval"][bound]) for bound in ("lowerBound", "upperBound"))
    assert low < 3 / 60 < high < 0.2


def test_catalogues_are_named_and_each_entry_is_one_of_the_rules_relations():
    (run,) = make_sarif(scan_of("suspicious"), ARTIFACT)["runs"]
    taxa = {taxon["id"] for taxonomy in run["taxonomies"] for taxon in taxonomy["taxa"]}
    assert {"AML.T0018", "AML.T0010.003", "AML.T0043.004", "AML.M0008", "MEASURE 2.7", "ML10:2023"} <= taxa
    (rule,) = run["tool"]["driver"]["rules"]
    assert {one["target"]["id"] for one in rule["relationships"]} == taxa


@pytest.fixture
def verdict(monkeypatch):
    """A scan that takes no time: its verdict is the returned list's only item."""
    verdicts = ["suspicious"]
    monkeypatch.setattr("phosphene.scanner.scanning.scan", lambda *_, **__: scan_of(verdicts[0]))
    return verdicts


FORMAT = ("--size", 32, "--channels", 3, "--mean", 0.5, "--std", 0.25)


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_written_before_the_exit_code_and_name_the_weights(name, verdict, tmp_path):
    verdict[0] = name
    weights = saved(models.colour_net(), tmp_path / "suspect.safetensors")
    options = [part for form in EXPORTS for part in (f"--{form}", tmp_path / f"scan.{form}.json")]
    outcome = phosphene("scan", "--factory", "models:colour_net", "--weights", weights, *FORMAT, *options)
    assert outcome.code == VERDICTS[name].exit_code
    for form in EXPORTS:
        text = (tmp_path / f"scan.{form}.json").read_text()
        VALIDATE[form](json.loads(text))
        assert hash_file(weights) in text


def read_step(place: int = 0) -> str:
    """The script of a step that the page shows."""
    text = (ROOT / "docs" / "scanner-ci.md").read_text(encoding="utf-8")
    return textwrap.dedent(re.findall(r"run: \|\n((?:    .*\n)+)", text)[place])


def run_step(folder: Path, code: int, place: int = 0) -> tuple[int, list[str]]:
    """Exit code of the step where `phosphene` ends with a code, and what it was called with."""
    stub = folder / "phosphene"
    stub.write_text(f"#!/bin/bash\nprintf '%s\\n' \"$@\" > {folder}/arguments\nexit {code}\n")
    stub.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-e", "-c", read_step(place)], env={"PATH": path}, capture_output=True, check=False)
    return done.returncode, (folder / "arguments").read_text().splitlines()


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (3, 0), (2, 2), (70, 70)])
def test_the_step_of_the_docs_fails_where_somebody_is_accused_and_where_the_scan_fails(code, expected, tmp_path):
    assert run_step(tmp_path, code)[0] == expected


@pytest.mark.usefixtures("verdict")
def test_the_command_of_the_step_is_one_that_phosphene_understands(tmp_path, monkeypatch):
    _, arguments = run_step(tmp_path, 0)
    monkeypatch.chdir(tmp_path)
    saved(models.colour_net(), tmp_path / "suspect.safetensors")
    arguments[arguments.index("my.models:build")] = "models:colour_net"
    assert phosphene(*arguments).code == 1
    assert {"scan.html", "scan.sarif", "model.cdx.json", "scan.intoto.json"} <= {one.name for one in tmp_path.iterdir()}


@pytest.mark.parametrize("form", EXPORTS)
def test_a_file_that_cannot_be_written_is_refused_before_the_scan(form, tmp_path):
    outcome = phosphene("scan", "efficientnet_lite0", f"--{form}", tmp_path / "missing" / "scan.json")
    assert outcome.code == 2
    assert f"--{form} is" in outcome.err
