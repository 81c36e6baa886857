"""Neural Cleanse: the smallest mask under which a pattern sends clean images to each class. A backdoor's is tiny.

Minimises `CE(f((1−m)x + mΔ), c) + λ‖m‖₁` over mask and pattern; λ rises while the pattern works and falls while it
does not. The rule: the smallest norm lies more than 2 deviations (by the MAD) below the median. Needs clean images.

Source: Wang et al., "Neural Cleanse", IEEE S&P 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.baselines.decisions import mad_index
from benchmarks.baselines.opinion import Opinion
from phosphene.model.classifier import Classifier

LARGEST_INDEX = 2.0
WORKS = 0.99  # share of images that a pattern must send to its class


@dataclass
class Cost:
    """λ of every class: times `factor` after `patience` steps of success, divided by more after as many failures."""

    value: Tensor
    streak: Tensor
    first: float = 1e-3
    factor: float = 1.5
    patience: int = 5

    @classmethod
    def of(cls, classes: int) -> Cost:
        return cls(torch.zeros(classes), torch.zeros(classes))

    def follow(self, works: Tensor) -> None:
        """Count steps of success upwards and of failure downwards; a turn starts anew."""
        self.streak = torch.where(works, self.streak.clamp(min=0) + 1, self.streak.clamp(max=0) - 1)
        raised = self.streak >= self.patience
        lowered = self.streak <= -self.patience
        higher = torch.where(self.value > 0, self.value * self.factor, torch.tensor(self.first))
        self.value = torch.where(raised, higher, self.value)
        self.value = torch.where(lowered, self.value / self.factor**1.5, self.value)
        self.streak = torch.where(raised | lowered, 0.0, self.streak)


@dataclass(frozen=True)
class NeuralCleanse:
    """All classes at once, on the same minibatch; `steps` minibatches of `batch` clean images."""

    steps: int = 180
    batch: int = 16
    rate: float = 0.1
    window: int = 4  # minibatches whose mean success decides whether a pattern works
    seed: int = 0

    def __call__(self, classifier: Classifier, images: Tensor) -> Opinion:
        masks = self.masks(classifier, images)
        norms = masks.flatten(1).sum(dim=1)
        index = float(mad_index(norms.double().numpy()))
        smallest = int(norms.argmin())
        return Opinion(index, tuple((-norms).tolist()), index > LARGEST_INDEX, masks[smallest])

    def masks(self, classifier: Classifier, images: Tensor) -> Tensor:
        """The smallest working mask of each class `(K, H, W)`; the last one where none has worked."""
        count, (channels, height, width) = len(classifier.labels), classifier.image_shape
        model = classifier.fold().replace(batch_size=min(count * self.batch, 640))
        generator = torch.Generator().manual_seed(self.seed)
        mask_raw = _raw(torch.rand(count, 1, 1, height, width, generator=generator))
        pattern_raw = _raw(torch.rand(count, 1, channels, height, width, generator=generator))
        adam = torch.optim.Adam([mask_raw, pattern_raw], lr=self.rate, betas=(0.5, 0.9))
        targets, cost = torch.arange(count).repeat_interleave(self.batch), Cost.of(count)
        best, smallest, rates = _unit(mask_raw.detach()), torch.full((count,), torch.inf), []
        for _ in range(self.steps):
            x = images[torch.randint(len(images), (self.batch,), generator=generator)]
            mask = _unit(mask_raw)
            logits = model((x + mask * (_unit(pattern_raw) - x)).flatten(0, 1))
            size = mask.flatten(1).sum(dim=1)
            loss = F.cross_entropy(logits, targets, reduction="none").view(count, -1).mean(dim=1)
            rates = [*rates, (logits.argmax(dim=1) == targets).view(count, -1).float().mean(dim=1)][-self.window :]
            works = (torch.stack(rates).mean(dim=0) >= WORKS) & (len(rates) == self.window)
            better = torch.where(smallest.isinf(), True, size.detach() < smallest) & works
            best = torch.where(better.view(-1, 1, 1, 1, 1), mask.detach(), best)
            smallest = torch.where(better, size.detach(), smallest)
            total = (loss + cost.value * size).sum()
            mask_raw.grad, pattern_raw.grad = torch.autograd.grad(total, (mask_raw, pattern_raw))
            adam.step()
            cost.follow(works)
        never = smallest.isinf().view(-1, 1, 1, 1, 1)
        return torch.where(never, _unit(mask_raw.detach()), best)[:, 0, 0]


def _raw(values: Tensor) -> Tensor:
    return torch.atanh((2 * values - 1) * (1 - 1e-4)).requires_grad_()


def _unit(raw: Tensor) -> Tensor:
    return (torch.tanh(raw) + 1) / 2
