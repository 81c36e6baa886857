"""Operators of the domain `ai.onnx.ml`, in which scikit-learn's classifiers are written."""

from __future__ import annotations

import torch
from torch import Tensor

from phosphene.model.sources.onnx_files.operators.call import Call, refuse


def scale_features(call: Call, x: Tensor) -> Tensor:
    offset, scale = (x.new_tensor(call.get(name, [default])) for name, default in (("offset", 0.0), ("scale", 1.0)))
    return (x - offset) * scale


def normalize_rows(call: Call, x: Tensor) -> Tensor:
    order = {"MAX": torch.inf, "L1": 1, "L2": 2}[call.get("norm", "MAX")]
    norm = torch.linalg.vector_norm(x, order, dim=1, keepdim=True)
    return x / torch.where(norm == 0, torch.ones_like(norm), norm)


def classify_linearly(call: Call, x: Tensor) -> tuple[Tensor, Tensor]:
    """The index of the best class, and the scores of all, as logits or as probabilities."""
    bias = x.new_tensor(call.get("intercepts", [0.0]))
    weight = x.new_tensor(call.get("coefficients", [])).reshape(len(bias), -1)
    scores = x.flatten(1) @ weight.mT + bias
    if len(bias) < 2:
        raise refuse("has one score for two classes, which is not supported")
    ways = {"NONE": scores, "LOGISTIC": scores.sigmoid(), "SOFTMAX": scores.softmax(dim=1)}
    if (way := call.get("post_transform", "NONE")) not in ways:
        raise refuse(f"ends in {way}; expected one of {', '.join(ways)}")
    return scores.argmax(dim=1), ways[way]
