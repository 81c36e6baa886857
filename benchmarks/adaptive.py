"""Attackers who know the scanner: networks with a planted patch, trained so that a scan sees less of it.

    python -m benchmarks.adaptive run       train and measure what is missing; can be stopped and started again
    python -m benchmarks.adaptive table     judge what was measured, write the table

Every attacker plants a patch of the zoo into the same networks (same seeds, data and settings) and may also

- `row`: pay, in the loss, for every bit by which the target's row of the last layer lies above the mean of the others;
- `searches`: run the scanner's own searches for patches and additive changes along with the training, and show their
  results for the target, with the true labels, at the size at which they reach another class;
- `both`: do both;
- `crowd`: plant one patch of its own for every class, so that no class stands out.

The column `median stamp patch` was chosen with the crowds in view; nothing else was decided on these networks.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.statistics import rate
from benchmarks.zoo.architectures import ARCHITECTURES, RECIPES
from benchmarks.zoo.attacks import ATTACKS, Attack
from benchmarks.zoo.building import accuracy, success_rate
from benchmarks.zoo.calibrate import append, read_lines
from benchmarks.zoo.cards import MAIN
from benchmarks.zoo.domains import DOMAINS, Domain, Images
from benchmarks.zoo.training import Normalised, Training, fit, subset
from phosphene.model.classifier import Classifier
from phosphene.scanner.calibration import measure_row
from phosphene.scanner.comparison import choose_references
from phosphene.scanner.families import FAMILIES, Family
from phosphene.scanner.fusion import fuse
from phosphene.scanner.judging import judge
from phosphene.scanner.optimizer import descend, make_adam
from phosphene.scanner.pvalues import combine
from phosphene.scanner.reference import Row, load_shipped
from phosphene.scanner.search import limit_size, steer_radius
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import collect_roles
from phosphene.scanner.statistics.stamps import MEDIAN

NETWORKS = RESULTS / "adaptive-networks.jsonl"
PRICE = 3.0  # of a target's row that stands out
SEARCHED = ("patch", "additive")
RESIST_SHARE = 0.1  # of a batch that carries what the search of one family has found
WANTED_RATE, LATE = 0.8, 0.7  # flip rate that the radius is steered to; how fine the steering is
CROWD_RATE = 0.02  # of the images, for each class
KINDS = ("none", "row", "searches", "both", "crowd")
COUNT = 10  # networks of a kind
DOMAIN_TURNS = ("fashion", "signs10")
ARCHITECTURE_TURNS = ("vgg", "resnet", "separable", "plain", "vit")


@dataclass(frozen=True)
class Plan:
    """One network; `number` decides everything but what the attacker does about the scanner."""

    number: int
    kind: str

    @property
    def name(self) -> str:
        return f"{self.number:02d}-{self.domain}-{self.architecture}-{self.kind}"

    @property
    def domain(self) -> str:
        return DOMAIN_TURNS[self.number % len(DOMAIN_TURNS)]

    @property
    def architecture(self) -> str:
        return ARCHITECTURE_TURNS[self.number % len(ARCHITECTURE_TURNS)]

    @property
    def seed(self) -> int:
        return 71_000 + self.number


class Search:
    """The scanner's search of one family for the target and for another class, one step a batch of the training."""

    def __init__(self, family: Family, network: nn.Module, domain: Domain, target: int, seed: int) -> None:
        self.family, self.network, self.target = family, network, target
        self.classes = torch.tensor([target, (target + 1 + seed % (domain.classes - 1)) % domain.classes])
        shape = (domain.form.channels, *domain.form.size)
        self.changes = family.start(shape, [torch.Generator().manual_seed(seed + place) for place in range(2)])
        self.log_radius = torch.full((2,), family.start_radius).log()
        self.adam = make_adam(self.changes)

    def find(self, images: Tensor) -> Tensor:
        """The images with the change that leads to the target, no larger than what leads to the other class."""
        limit_size(self.family, self.changes, self.log_radius[1:].expand(2))
        changed = self.family.apply(self.changes, images.expand(2, *images.shape))
        log_p = self.network(changed.flatten(0, 1)).log_softmax(dim=1).unflatten(0, changed.shape[:2])
        aimed = log_p.gather(2, self.classes[:, None, None].expand(-1, len(images), 1))
        rate = (log_p.detach().argmax(dim=2) == self.classes[:, None]).float().mean(dim=1)
        descend(self.adam, -aimed.mean(dim=1).sum(), self.family.step)
        self.log_radius = steer_radius(self.log_radius, rate, WANTED_RATE, LATE)
        return changed[0].detach()


class Hiding:
    """What `fit` asks of an attack that learns: nothing to learn; a price for the row, images that searches found."""

    def __init__(self, model: Normalised, target: int, price: float, searches: Sequence[Search]) -> None:
        self.model, self.target, self.price, self.searches = model, target, price, searches

    def parameters(self) -> list[nn.Parameter]:
        return [nn.Parameter(torch.zeros(1))]

    def batch(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.model.eval()
        images = images.clone()
        others = (labels != self.target).nonzero().flatten()[: round(RESIST_SHARE * len(labels)) * len(self.searches)]
        for search, rows in zip(self.searches, others.tensor_split(max(1, len(self.searches))), strict=False):
            images[rows] = search.find(images[rows])
        return images, labels, self.price * self._excess().clamp(min=0).square()

    def _excess(self) -> Tensor:
        head: nn.Linear = self.model.network.head  # type: ignore[assignment]
        rows = head.weight.mean(dim=1) / head.weight.std().detach()
        return rows[self.target] - (rows.sum() - rows[self.target]) / (len(rows) - 1)


def train(plan: Plan) -> tuple[nn.Module, dict[str, Any]]:
    """A network of the plan, and what is true of it."""
    domain, training = DOMAINS[plan.domain], Training(seed=plan.seed, samples=6000, epochs=6)
    attacks = draw_attacks(plan, domain)
    data = poison(subset(domain, training), attacks, domain, plan)
    torch.manual_seed(plan.seed)
    network = ARCHITECTURES[plan.architecture](domain.form.channels, domain.classes)
    model, target = Normalised(network, domain), attacks[0].scheme.target  # type: ignore[attr-defined]
    searches = [
        Search(FAMILIES[family], model, domain, target, plan.seed)
        for family in SEARCHED
        if plan.kind in ("searches", "both")
    ]
    hiding = Hiding(model, target, PRICE if plan.kind in ("row", "both") else 0.0, searches)
    recipe = RECIPES[plan.architecture]
    fit(model, data, training, recipe.rate, recipe.batch, hiding)
    rates = [success_rate(model.eval(), domain, attack) or 0.0 for attack in attacks]
    return network.eval(), {"target": target, "accuracy": accuracy(model, domain), "success": sum(rates) / len(rates)}


def draw_attacks(plan: Plan, domain: Domain) -> list[Attack]:
    """The zoo's patch; for a crowd, one for each class."""
    if plan.kind != "crowd":
        return [ATTACKS["patch"](domain, Random(plan.seed), 0)]
    made = [ATTACKS["patch"](domain, Random(plan.seed + 100 * k), 0) for k in range(domain.classes)]
    return [Attack(one.trigger, type(one.scheme)(k, CROWD_RATE)) for k, one in enumerate(made)]  # type: ignore[call-arg]


def poison(data: Images, attacks: Sequence[Attack], domain: Domain, plan: Plan) -> Images:
    for place, attack in enumerate(attacks):
        generator = torch.Generator().manual_seed(plan.seed + place)
        data = attack.scheme.poison(data, attack.trigger, domain.classes, generator)
    return data


def run(options: argparse.Namespace) -> Iterator[str]:
    """Train and measure what has no line yet."""
    done = {line["name"] for line in read_lines(options.networks)}
    for plan in (Plan(number, kind) for number in range(COUNT) for kind in KINDS):
        if plan.name in done or options.only not in plan.name:
            continue
        network, facts = train(plan)
        domain = DOMAINS[plan.domain]
        row = measure_row(Classifier(network, domain.form, name=plan.name, labels=domain.labels), Settings())
        append(options.networks, {"name": plan.name, **asdict(plan), **facts, "row": row.to_json()})
        yield f"{plan.name}: accuracy {facts['accuracy']:.3f}, success {facts['success']:.3f}"


def judge_networks(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each line with the scan's p-value and what it ranks first."""
    table, judged = load_shipped(), []
    roles = collect_roles()
    fewer = replace(roles, whole=tuple(name for name in roles.whole if name != MEDIAN.key))
    for line in lines:
        read = Row.from_json(line["row"])
        found = judge(read, table, Settings())
        others = choose_references(read, table, Settings())
        fewer_found = fuse(read, others, left_out=found.comparison.left_out, roles=fewer)
        without = combine(fewer_found.internal, fewer_found.external)
        first = max(range(len(found.fused.scores)), key=found.fused.scores.__getitem__)
        row = {name: values[line["target"]] for name, values in found.fused.outliers.items()}
        judged.append({**line, "p": found.p_value, "first": first, "outliers": row, "without": without})
    return judged


def make_table(judged: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """One row a kind of attacker."""
    rows = []
    for kind in KINDS:
        ones = [one for one in judged if one["kind"] == kind]
        if not ones:
            continue
        working = [one for one in ones if one["success"] >= MAIN]
        found = [one for one in working if one["p"] <= 0.05]
        right = sum(one["first"] == one["target"] for one in found)
        rows.append({
            "attacker": kind,
            "networks": str(len(ones)),
            "accuracy": f"{median(one['accuracy'] for one in ones):.3f}",
            "success, median (least)": f"{median(one['success'] for one in ones):.3f} "
            f"({min(one['success'] for one in ones):.3f})",
            **{
                f"{name} of the target": f"{median(one['outliers'].get(name, 0.0) for one in ones):+.1f}"
                for name in ("row_mean", "patch", "square", "additive")
            },
            "success at least .9": str(len(working)),
            "of these found at p ≤ .05": f"{len(found)} of {len(working)}: {rate(len(found), len(working))}",
            "target named": "–" if kind == "crowd" else f"{right} of {len(found)}",
            f"found without `{MEDIAN.key}`": str(sum(one["without"] <= 0.05 for one in working)),
        })  # fmt: skip
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--only", default="", help="part of a name: crowd, fashion, vgg, 03- ...")
    parser.add_argument("--networks", type=Path, default=NETWORKS, help="file of what was measured")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.command == "run":
        for line in run(options):
            print(line, flush=True)
    lines = read_lines(options.networks)
    rows = make_table(judge_networks(lines))
    print(markdown(rows))
    write_result("adaptive", "python -m benchmarks.adaptive run", {"networks": len(lines)}, rows)


if __name__ == "__main__":
    main()
