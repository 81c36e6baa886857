"""One way of training for every model of the zoo, clean or poisoned: same steps, same code, settings drawn alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.zoo.architectures import ARCHITECTURES, RECIPES
from benchmarks.zoo.domains import Domain, Images

BATCH = 64
ADVERSARIAL_SHARE, ADVERSARIAL_STEPS = 0.25, 3
LIVE_RATE = 1e-2  # of triggers that are learned with the model


@dataclass(frozen=True)
class Training:
    """What varies between models besides their data; `rate` scales the architecture's own.

    `adversarial` is the bound of PGD on a quarter of each batch, `imbalance` the share of images that the rarest
    class keeps.
    """

    seed: int
    samples: int
    epochs: int
    rate: float = 1.0
    decay: float = 5e-4
    augmentation: str = "none"
    smoothing: float = 0.0
    adversarial: float = 0.0
    imbalance: float = 1.0


class Live(Protocol):
    """An attack that learns its trigger while the model learns."""

    def parameters(self) -> list[nn.Parameter]: ...

    def batch(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images, labels and a penalty that goes into the loss."""
        ...


def subset(domain: Domain, training: Training) -> Images:
    """The model's own share of its domain's training images."""
    pool = domain.training()
    generator = torch.Generator().manual_seed(training.seed)
    ranks = torch.randperm(domain.classes, generator=generator).float() / max(1, domain.classes - 1)
    weights = (1 - (1 - training.imbalance) * ranks)[pool.labels]
    # The largest u^(1/w) are a weighted sample without replacement (Efraimidis & Spirakis 2006).
    keys = torch.rand(len(pool), generator=generator).log() / weights
    return pool[keys.topk(training.samples).indices]


def shift_images(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shifted by up to two pixels, each image by its own amount; the edge is repeated."""
    side = images.shape[-1]
    padded = F.pad(images, (2, 2, 2, 2), mode="replicate")
    shifts = torch.randint(0, 5, (len(images), 2), generator=generator)
    rows, columns = (shifts[:, axis, None] + torch.arange(side) for axis in (0, 1))
    places = torch.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]
    return padded.permute(0, 2, 3, 1)[places].permute(0, 3, 1, 2)


def add_noise(images: Tensor, generator: torch.Generator) -> Tensor:
    return (images + 0.04 * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def keep_images(images: Tensor, generator: torch.Generator) -> Tensor:
    return images


AUGMENTATIONS = {"none": keep_images, "shift": shift_images, "noise": add_noise}


class Normalised(nn.Module):
    """A network fed with images in [0,1]."""

    def __init__(self, network: nn.Module, domain: Domain) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(domain.form.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(domain.form.std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.network(((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last))


def train_network(
    domain: Domain, architecture: str, data: Images, training: Training, live: Live | None = None
) -> nn.Module:
    """A network of the architecture, trained on the data as the settings say; in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        network = ARCHITECTURES[architecture](domain.form.channels, domain.classes)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        recipe = RECIPES[architecture]
        fit(Normalised(network, domain), data, training, recipe.rate, recipe.batch, live, half=recipe.half)
    return network.eval()


def fit(
    model: nn.Module,
    data: Images,
    training: Training,
    rate: float,
    batch: int = BATCH,
    live: Live | None = None,
    *,
    half: bool = False,
) -> None:
    """AdamW on one cycle of the learning rate; forward passes in bfloat16 where `half`."""
    generator = torch.Generator().manual_seed(training.seed + 1)
    steps = training.epochs * (len(data) // batch)
    groups, rates = [{"params": list(model.parameters()), "weight_decay": training.decay}], [rate * training.rate]
    if live is not None:
        groups.append({"params": live.parameters(), "weight_decay": 0.0})
        rates.append(LIVE_RATE)
    optimiser = torch.optim.AdamW(groups, lr=rates[0])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=0.25)
    order = torch.cat([torch.randperm(len(data), generator=generator) for _ in range(training.epochs + 1)])
    augment = AUGMENTATIONS[training.augmentation]
    for rows in order.split(batch)[:steps]:
        images, labels = augment(data.images[rows], generator), data.labels[rows]
        penalty = torch.zeros(())
        if live is not None:
            images, labels, penalty = live.batch(images, labels)
        if training.adversarial:
            images = _attack_part(model, images, labels, training.adversarial)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs = model.train()(images)
        loss = F.cross_entropy(outputs.float(), labels, label_smoothing=training.smoothing) + penalty
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _attack_part(model: nn.Module, images: Tensor, labels: Tensor, bound: float) -> Tensor:
    count = round(ADVERSARIAL_SHARE * len(images))
    model.eval()  # its batch norms count training steps only
    attacked = pgd(model, images[:count].detach(), labels[:count], bound, ADVERSARIAL_STEPS)
    return torch.cat([attacked, images[count:]])


def pgd(model: nn.Module, images: Tensor, labels: Tensor, bound: float, steps: int) -> Tensor:
    """Images within `bound` of the given ones that raise the loss of their labels. Madry et al. 2018."""
    moving = images.clone()
    for _ in range(steps):
        moving.requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(model(moving), labels), moving)
        stepped = moving.detach() + slope.sign() * bound * 1.5 / steps
        moving = torch.minimum(torch.maximum(stepped, images - bound), images + bound).clamp(0, 1)
    return moving.detach()


@torch.no_grad()
def predict(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model(rows).argmax(dim=1) for rows in images.split(250)])
