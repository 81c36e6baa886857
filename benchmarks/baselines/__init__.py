"""Other people's backdoor detectors, built from their formulas, to measure the scanner against.

Each is a frozen dataclass, called with a classifier and clean images, that gives an `Opinion` or steps aside. All
classes go through the network together. `python -m benchmarks.scanner run` runs them over the zoo.
"""

from __future__ import annotations

from benchmarks.baselines.free_eagle import FreeEagle
from benchmarks.baselines.maximum_margin import MaximumMargin
from benchmarks.baselines.neural_cleanse import NeuralCleanse
from benchmarks.baselines.opinion import IMAGES, Baseline, Opinion, StepsAside
from benchmarks.baselines.probing import Chance, HeadProbing
from benchmarks.baselines.weights import ChannelLipschitzness, FinalLayerNorm, TrojanSignatures

# In the order of the tables. Those of the first dictionary cost seconds and share one budget: 1500 forward and
# backward passes a class, as many as the scanner takes (FreeEagle: 1000 steps of one feature map a class).
EQUAL_BUDGET: dict[str, Baseline] = {
    "MM-BD": MaximumMargin(starts=10, steps=150),
    "Neural Cleanse": NeuralCleanse(steps=188, batch=8, rate=0.2),
    "FreeEagle": FreeEagle(),
}
CHEAP: dict[str, Baseline] = {
    "CLP z-score": ChannelLipschitzness(),
    "Trojan Signatures": TrojanSignatures(),
    "final-layer norm": FinalLayerNorm(),
    "head probing, wins": HeadProbing("wins"),
    "head probing, logit": HeadProbing("logit"),
    "random score": Chance(),
}
UNLIMITED: dict[str, Baseline] = {
    "Neural Cleanse, unlimited": NeuralCleanse(steps=1000, batch=32),
    "MM-BD, unlimited": MaximumMargin(starts=30, steps=300),
}
BASELINES: dict[str, Baseline] = {**EQUAL_BUDGET, **CHEAP, **UNLIMITED}

__all__ = ["BASELINES", "CHEAP", "EQUAL_BUDGET", "IMAGES", "UNLIMITED", "Baseline", "Opinion", "StepsAside"]
