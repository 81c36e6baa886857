"""Fixtures shared by the tests. Real weights are loaded once a session."""

from __future__ import annotations

import os
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import settings

import models
import phosphene
from browser import browser_type_launch_args, visit  # noqa: F401 - fixtures
from phosphene.model.classifier import Classifier

# Same examples every time: a test that fails, fails for everybody.
settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=30, database=None)
settings.load_profile("fixed")


def pytest_collection_modifyitems(items):
    """Without Ray its cases are skipped, by name: `make ray` runs them."""
    if find_spec("ray") is None:
        for item in items:
            if "ray" in getattr(getattr(item, "callspec", None), "params", {}).values() or item.name.endswith("[ray]"):
                item.add_marker(pytest.mark.skip(reason="Ray is not installed: `make ray` installs it and runs this"))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same seeds, whatever ran before it: a random network is the same one everywhere."""
    torch.manual_seed(0)
    np.random.seed(0)  # Captum's noise


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
    """A Ray cluster of this machine for the whole session, where Ray is installed: `make ray` installs and tests it.

    Its threads would make the forks of other tests hang, so that the usual run is without it.
    """
    if find_spec("ray") is None:
        yield
        return
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
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
