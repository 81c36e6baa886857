"""Lucent (torch-lucent 0.1.8): Fourier coefficients of decorrelated colours, and its standard transforms.

https://github.com/greentfrapp/lucent
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.peers.network import NormalizedNetwork, set_seeds
from phosphene.model.classifier import Classifier


@dataclass(frozen=True)
class Lucent:
    """`render_vis` with its defaults: an image of 128 pixels, shown enlarged to 224, and 512 iterations.

    It knows no normalisation but torchvision's, so it is handed a network that normalises inside.
    """

    steps: int = 512
    side: int = 128
    together: int = 1

    def __call__(self, classifier: Classifier, classes: Sequence[int], seed: int) -> list[Tensor]:
        from lucent.optvis.param import image
        from lucent.optvis.render import render_vis

        (index,) = classes
        set_seeds(seed, index)
        (picture,) = render_vis(
            NormalizedNetwork(classifier).eval(),
            f"labels:{index}",
            lambda: image(self.side),
            thresholds=(self.steps,),
            preprocess=False,
            show_image=False,
            progress=False,
        )
        return [torch.from_numpy(picture[0]).permute(2, 0, 1).contiguous()]
