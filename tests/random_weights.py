"""Modules with random weights that compute something, and whether a classifier computes the same."""

from __future__ import annotations

import torch
from torch import nn

import phosphene


def randomize(module: nn.Module) -> nn.Module:
    """Weights with which every layer matters and nothing overflows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.02 * noise if parameter.ndim < 2 else noise * parameter[0].numel() ** -0.5)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
    return module.eval()


def check_same(classifier: phosphene.Classifier, module: nn.Module) -> None:
    images = torch.rand(2, *classifier.image_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module(classifier.normalize(images).contiguous())
        ours = classifier(images)
    assert expected.std() > 0
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
