"""An attacker who knows the scanner: models trained with a penalty on its own main statistic.

    python -m benchmarks.adaptive

`row_mean` gives most backdoors of the zoo away: a target's row of the last layer is shifted upwards. Here the attacker
pays, in the training loss, for every bit by which the target's row lies above the mean of the others, on top of a patch
backdoor. Accuracy, attack success, what the scan still sees, and its verdict, for growing penalties.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor, nn

from benchmarks.record import markdown, write_result
from benchmarks.zoo.architectures import ARCHITECTURES
from benchmarks.zoo.attacks import ATTACKS
from benchmarks.zoo.building import accuracy, success_rate
from benchmarks.zoo.domains import DOMAINS
from benchmarks.zoo.training import RATES, Normalised, Training, fit, subset
from phosphene.model.classifier import Classifier
from phosphene.scanner.scanning import scan

PENALTIES = (0.0, 1.0, 10.0)
STATISTICS = ("row_mean", "margin", "patch", "concentration")


class Hiding:
    """What `fit` asks of an attack that learns: nothing to learn, but a price for a target's row that stands out."""

    def __init__(self, head: nn.Linear, target: int, price: float) -> None:
        self.head, self.target, self.price = head, target, price

    def parameters(self) -> list[nn.Parameter]:
        return [nn.Parameter(torch.zeros(1))]

    def batch(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = self.head.weight.mean(dim=1) / self.head.weight.std().detach()
        excess = rows[self.target] - (rows.sum() - rows[self.target]) / (len(rows) - 1)
        return images, labels, self.price * excess.clamp(min=0).square()


def trained(architecture: str, price: float, seed: int) -> tuple[nn.Module, dict[str, object]]:
    """A network with a patch backdoor of the zoo's own kind, and what is true of it."""
    domain, training = DOMAINS["fashion"], Training(seed=seed, samples=6000, epochs=6)
    attack = ATTACKS["patch"](domain, Random(seed), 0)
    data = attack.scheme.poison(
        subset(domain, training), attack.trigger, domain.classes, torch.Generator().manual_seed(seed)
    )
    torch.manual_seed(seed)
    network = ARCHITECTURES[architecture](domain.form.channels, domain.classes)
    model = Normalised(network, domain)
    fit(model, data, training, RATES[architecture], live=Hiding(network.head, attack.scheme.target, price))  # type: ignore[attr-defined]
    facts = {"target": attack.scheme.target, "accuracy": accuracy(model.eval(), domain),  # type: ignore[attr-defined]
             "success": success_rate(model, domain, attack)}  # fmt: skip
    return network.eval(), facts


def row(architecture: str, price: float, seed: int) -> dict[str, str]:
    """What the attacker paid and got, and what the scan sees of it."""
    network, facts = trained(architecture, price, seed)
    domain = DOMAINS["fashion"]
    found = scan(Classifier(network, domain.form, name="adaptive", labels=domain.labels))
    target = found.classes[int(str(facts["target"]))]
    seen = {name: f"{target.outliers.get(name, 0.0):+.1f}" for name in STATISTICS}
    return {
        "architecture": architecture, "penalty": f"{price:g}", "accuracy": f"{facts['accuracy']:.3f}",
        "success": f"{facts['success']:.3f}", **seen, "score": f"{found.score:.2f}", "p": f"{found.p_value:.3f}",
        "verdict": found.verdict,
        "ranked first": "the target" if found.ranking()[0].index == target.index else "another class",
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=["vgg", "resnet", "separable"])
    parser.add_argument("--seed", type=int, default=70_000)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = []
    for place, architecture in enumerate(options.architectures):
        for price in PENALTIES:
            rows.append(row(architecture, price, options.seed + place))
            print(markdown(rows[-1:]), flush=True)
    write_result("adaptive", "python -m benchmarks.adaptive", {"seed": options.seed}, rows)


if __name__ == "__main__":
    main()
