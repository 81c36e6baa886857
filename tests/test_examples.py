"""The examples run as they are; here with few iterations, each in a process of its own, as a reader would start it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from phosphene.runs.store import load_all

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytestmark = pytest.mark.slow
# With so few iterations no map is seen, and each would be started again.
ONCE = """
import runpy, sys
import phosphene.method.restarts
phosphene.method.restarts.RESTART_BELOW = 0
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_example(name: str, out: Path, iterations: int = 3) -> str:
    """What the example printed; it must have ended well and left nothing but its output folder."""
    out.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-c", ONCE, str(EXAMPLES / name), "--iterations", str(iterations), "--out", str(out)]
    finished = subprocess.run(
        command, capture_output=True, text=True, cwd=out.parent, env=os.environ | {"PYTHONIOENCODING": "utf-8"}
    )
    assert finished.returncode == 0, finished.stderr
    assert list(out.parent.iterdir()) == [out]
    return finished.stdout


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "cwd" / "out"


def test_every_example_is_tested():
    text = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in sorted(EXAMPLES.glob("*.py")) if f'"{path.name}"' not in text] == []


def test_the_first_map_is_one_goldfish(out):
    shown = run_example("01_first_map.py", out)
    assert "goldfish, class 1 of efficientnet_lite0, map (3, 224, 224)" in shown
    assert re.search(r"fidelity: mean probability [01]\.\d+", shown)
    assert (out / "goldfish.png").is_file()


def test_the_algebra_makes_a_difference_a_set_and_a_sum(out):
    shown = run_example("02_concept_algebra.py", out)
    assert "tabby - tiger cat: raises tabby;" in shown
    assert "raises beagle, collie, pug;" in shown
    assert "0.5 * zebra + sorrel: raises sorrel, zebra;" in shown
    assert len(load_all(out)) == 3


def test_the_own_models_maps_are_faithful_to_it(out):
    shown = run_example("03_own_model.py", out, iterations=120)
    assert int(re.search(r"right on (\d+)% of 300 new drawings", shown)[1]) > 90
    fidelities = [float(found) for found in re.findall(r"fidelity (\d\.\d+)", shown)]
    assert len(fidelities) == 4
    assert min(fidelities) > 0.7
    assert [saliency.concept for saliency in load_all(out)] == ["disc", "square", "stripes", "disc - square"]


def test_the_development_is_an_animation_whose_score_rises(out):
    shown = run_example("04_watch_it_develop.py", out, iterations=6)
    scores = [float(found) for found in re.findall(r"score +(-?\d+\.\d+)", shown)]
    assert len(scores) == 6
    assert scores[-1] > scores[0]
    with Image.open(out / "flamingo.gif") as animation:
        assert animation.n_frames == 6
        assert animation.size == (224, 224)


def test_two_other_models_give_their_opinion(out):
    shown = run_example("05_another_models_opinion.py", out)
    assert re.search(r"^efficientnet_lite1 (dis)?agrees \(log p -\d+\.\d+\): \w", shown, re.MULTILINE)
    assert re.search(r"^efficientnet_lite2 (dis)?agrees \(log p -\d+\.\d+\): \w", shown, re.MULTILINE)
    [saliency] = load_all(out)
    assert [opinion.model for opinion in saliency.scores.opinions] == ["efficientnet_lite1", "efficientnet_lite2"]
