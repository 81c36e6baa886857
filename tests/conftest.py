"""Fixtures shared by the tests. Real weights are loaded once a session."""

from __future__ import annotations

import pytest
from hypothesis import settings

import models
import phosphene
from browser import browser_type_launch_args, visit  # noqa: F401 - fixtures
from phosphene.model.classifier import Classifier

# Same examples every time: a test that fails, fails for everybody.
settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=30, database=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def lite0() -> Classifier:
    """EfficientNet-Lite0 with its real ImageNet weights."""
    return phosphene.load("efficientnet_lite0")


@pytest.fixture
def linear() -> Classifier:
    return models.linear_classifier()


@pytest.fixture
def grey() -> Classifier:
    return models.grey_classifier()


@pytest.fixture
def colour() -> Classifier:
    return models.colour_classifier()


@pytest.fixture(scope="session")
def ray_cluster():
    """A Ray cluster of this machine for the whole session: starting one takes seconds."""
    import os

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray", reason="Ray has no release for this Python or system")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=256 << 20,
    )
    yield
    ray.shutdown()
