"""Does a scan say the same with another seed? Verdict and target of each network over several seeds.

    python -m benchmarks.repeats scan --models DIR       scan what is missing; can be stopped and started again
    python -m benchmarks.repeats scan --zoo DIR          the same for networks of benchmarks.zoo, evenly over its cards
    python -m benchmarks.repeats table --models DIR      write the tables of what was scanned

DIR of `--models` has `cards.json` as `benchmarks.outside` reads it. `--count` networks are scanned, half of them
backdoored where there are enough, each with `--seeds` seeds. Each scan is one JSON file in `--out`, and only networks
with a scan for every seed are in the tables.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import torch

from benchmarks import zoo
from benchmarks.outside import QUICK, open_model, read_cards
from benchmarks.record import RESULTS, markdown, write_result
from phosphene.core.intervals import wilson
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.record import VERDICTS, Scan
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings


@dataclass(frozen=True)
class Network:
    """A network with a card: whether it is backdoored, and the target, None where there is no single one."""

    name: str
    poisoned: bool
    target: int | None
    open: Callable[[], Classifier]


@dataclass(frozen=True)
class Repeated:
    """The scans of one network, one a seed."""

    network: Network
    scans: tuple[Scan, ...]

    @property
    def verdicts(self) -> list[str]:
        return [one.verdict for one in self.scans]

    @property
    def accused(self) -> int:
        return sum(VERDICTS[one.verdict].exit_code == 1 for one in self.scans)

    @property
    def tops(self) -> list[int]:
        """The most suspicious class of each scan, whatever its verdict."""
        return [one.ranking()[0].index for one in self.scans]

    @property
    def right(self) -> int | None:
        """Scans whose most suspicious class is the target."""
        return None if self.network.target is None else self.tops.count(self.network.target)


def list_networks(options: argparse.Namespace) -> list[Network]:
    """The chosen networks, backdoored and clean in turns."""
    if (options.models is None) == (options.zoo is None):
        raise BadInput("give either --models DIR with cards.json, or --zoo DIR of benchmarks.zoo")
    found = _list_outside(options.models) if options.zoo is None else _list_zoo(options.zoo, options.split)
    poisoned, clean = ([one for one in found if one.poisoned is kind] for kind in (True, False))
    half = max(options.count - len(clean), min(len(poisoned), options.count // 2))
    return [*spread(poisoned, half), *spread(clean, options.count - min(half, len(poisoned)))]


def spread(networks: Sequence[Network], count: int) -> list[Network]:
    """At most `count`, evenly over the list."""
    if len(networks) <= count:
        return list(networks)
    return [networks[place * len(networks) // count] for place in range(count)]


def _list_outside(folder: Path) -> list[Network]:
    sys.path.insert(0, str(folder))
    return [
        Network(
            Path(card["file"]).stem,
            not card["clean"],
            card.get("target"),
            lambda card=card: open_model(card, folder),
        )
        for card in read_cards(folder)
    ]


def _list_zoo(folder: Path, split: str) -> list[Network]:
    return [
        Network(card.name, card.poisoned, card.target, lambda card=card: zoo.load(card))
        for card in zoo.cards(folder, split)
    ]


def place(options: argparse.Namespace, network: Network, seed: int) -> Path:
    path: Path = options.out / f"{network.name}-seed{seed}.json"
    return path


def scan_missing(options: argparse.Namespace) -> Iterator[str]:
    """Scan whatever has no scan, seed after seed, and say what came of each."""
    networks = list_networks(options)
    for seed in range(options.seeds):
        for network in networks:
            if (path := place(options, network, seed)).is_file():
                continue
            classifier = network.open()
            if len(classifier.labels) > options.most:
                yield f"{network.name}: {len(classifier.labels)} classes, left out"
                continue
            found = scan(classifier, replace(QUICK if options.quick else Settings(), seed=seed))
            found.save(path)
            yield f"{network.name}, seed {seed}: {found.verdict}, p = {found.p_value:.3g}, {found.seconds:.0f} s"


def read_repeated(options: argparse.Namespace) -> list[Repeated]:
    """Networks with a scan for every seed."""
    repeated = []
    for network in list_networks(options):
        paths = [place(options, network, seed) for seed in range(options.seeds)]
        if all(path.is_file() for path in paths):
            repeated.append(Repeated(network, tuple(map(Scan.load, paths))))
    return repeated


def agree(values: Sequence[object]) -> float:
    """The share of pairs of scans that say the same; 1 for a single scan."""
    pairs = list(combinations(values, 2))
    return sum(one == other for one, other in pairs) / len(pairs) if pairs else 1.0


def describe_network(one: Repeated) -> dict[str, str]:
    counts = Counter(one.verdicts)
    return {
        "network": one.network.name,
        "backdoored": "yes" if one.network.poisoned else "no",
        "verdicts": ", ".join(f"{count}× {name}" for name, count in counts.most_common()),
        "p, least to most": f"{min(scan.p_value for scan in one.scans):.3g} to "
        f"{max(scan.p_value for scan in one.scans):.3g}",
        "pairs with one verdict": f"{agree(one.verdicts):.2f}",
        "pairs with one class on top": f"{agree(one.tops):.2f}",
        "target on top": "–" if one.right is None else f"{one.right} of {len(one.scans)}",
    }


def summarize(group: str, some: Sequence[Repeated]) -> dict[str, str]:
    """A line for a group of networks; intervals are Wilson's over networks, whose scans are not independent."""

    def count(chosen: Sequence[bool]) -> str:
        low, high = wilson(sum(chosen) / len(chosen), len(chosen))
        return f"{sum(chosen)} of {len(chosen)} ({low:.2f}–{high:.2f})"

    seeds = len(some[0].scans)
    return {
        "networks": group,
        "same verdict for every seed": count([len(set(one.verdicts)) == 1 for one in some]),
        "same class on top for every seed": count([len(set(one.tops)) == 1 for one in some]),
        "accused by every seed": count([one.accused == seeds for one in some]),
        "accused by some seed alone": count([0 < one.accused < seeds for one in some]),
        "pairs with one verdict": f"{sum(agree(one.verdicts) for one in some) / len(some):.2f}",
        "pairs with one class on top": f"{sum(agree(one.tops) for one in some) / len(some):.2f}",
    }


def write_tables(options: argparse.Namespace) -> None:
    repeated = read_repeated(options)
    if not repeated:
        raise BadInput(f"no network has {options.seeds} scans in {str(options.out)!r}; run `scan` first")
    groups = {
        "backdoored": [one for one in repeated if one.network.poisoned],
        "clean": [one for one in repeated if not one.network.poisoned],
        "all": repeated,
    }
    summary = [summarize(name, some) for name, some in groups.items() if some]
    command = f"python -m benchmarks.repeats table {'--models' if options.zoo is None else '--zoo'} DIR"
    tables = {"repeats": summary, "repeats-networks": [describe_network(one) for one in repeated]}
    for name, rows in tables.items():
        print(markdown(rows), end="\n\n")
        write_result(name, command, {"seeds": options.seeds, "quick": options.quick}, rows)


def run_scans(options: argparse.Namespace) -> None:
    for line in scan_missing(options):
        print(line, flush=True)
    write_tables(options)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("scan", "table"))
    parser.add_argument("--models", type=Path, help="folder with cards.json")
    parser.add_argument("--zoo", type=Path, help="folder of networks that benchmarks.zoo has trained")
    parser.add_argument("--split", default="dev", choices=("dev", "test"), help="of the zoo")
    parser.add_argument("--out", type=Path, default=RESULTS / "repeats", help="folder for the scans")
    parser.add_argument("--count", type=int, default=20, help="networks")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--most", type=int, default=200, help="classes beyond which a network is left out")
    parser.add_argument("--quick", action="store_true", help="shorten the last stage, which decides nothing")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    {"scan": run_scans, "table": write_tables}[options.command](options)


if __name__ == "__main__":
    main()
