"""What a user installs: the wheel, built from this tree and installed into a folder of its own, without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from test_scan_report import made, nothing

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = """
import json, sys
from pathlib import Path
import phosphene
from phosphene.report.scan import write_scan_report
from phosphene.scanner.reference import load_shipped
from phosphene.scanner.record import Scan, schema

scans = {path.stem: Scan.load(path) for path in sorted(Path(sys.argv[1]).glob("*.json"))}
for name, scan in scans.items():
    write_scan_report(scan, Path(sys.argv[1], name + ".html"))
records = {name: scan.to_json() for name, scan in scans.items()}
print(json.dumps({"file": phosphene.__file__, "schema": schema(), "scans": records, "table": load_shipped().name}))
"""


def run(*words: object, **options: Any) -> str:
    done = subprocess.run(list(map(str, words)), check=False, text=True, capture_output=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    folder = wheel.parent / "site"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    source = ROOT / "src"
    ours = {str(path.relative_to(source)) for path in (source / "phosphene").rglob("*")
            if path.is_file() and path.suffix != ".pyc"}  # fmt: skip
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert shipped == ours
    assert {"phosphene/scanner/reference.json", "phosphene/py.typed",
            "phosphene/report/templates/scan.html", "phosphene/report/templates/scan.css"} <= shipped  # fmt: skip


def test_a_scan_is_what_the_installed_schema_says_and_becomes_a_page(installed, tmp_path):
    scans = {"accused": made(), "bare": nothing(trigger=None, curve=None, pairs=None, p_external=None)}
    for name, scan in scans.items():
        scan.save(tmp_path / f"{name}.json")
    words = (sys.executable, "-c", INSTALLED, tmp_path)
    told = json.loads(run(*words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)}))
    assert Path(told["file"]).is_relative_to(installed)
    assert told["table"]
    jsonschema.Draft202012Validator.check_schema(told["schema"])
    for name, scan in scans.items():
        jsonschema.validate(told["scans"][name], told["schema"], cls=jsonschema.Draft202012Validator)
        assert told["scans"][name] == scan.to_json()
        assert scan.verdict in (tmp_path / f"{name}.html").read_text()


@pytest.mark.parametrize(
    ("name", "value"),
    [("verdict", "clean"), ("p_value", 1.5), ("p_value", None), ("target", "fox"), ("not_covered", []), ("seed", 0.5)],
)
def test_the_schema_refuses_what_no_scan_says(name, value):
    from phosphene.scanner.record import schema

    record = made().to_json()
    jsonschema.validate(record, schema(), cls=jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**record, name: value}, schema(), cls=jsonschema.Draft202012Validator)
