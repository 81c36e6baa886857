"""Where jobs run decides how long they take, never what comes out."""

from __future__ import annotations

import math
import time

import pytest

from phosphene.runs.executors import EXECUTORS


@pytest.mark.parametrize("kind", EXECUTORS)
def test_results_come_in_the_order_of_the_jobs(kind):
    assert list(EXECUTORS[kind]().map(math.factorial, range(8))) == [math.factorial(k) for k in range(8)]


@pytest.mark.parametrize("kind", EXECUTORS)
def test_an_error_of_a_job_reaches_the_caller(kind):
    with pytest.raises(ValueError, match="non-negative"):
        list(EXECUTORS[kind]().map(time.sleep, [0, -1]))
