"""How long does a scan take, stage by stage, of networks as large as people have at 32 pixels?

    python -m benchmarks.scan_seconds              ten classes, both networks, by the clock: nothing else may run

Weights are random, for seconds depend on the layers alone: a ResNet-56 as for CIFAR and a small transformer. What is
searched depends on whether a class stands out: so the last stage is measured as it is for a model in which none does by
the first statistics, by all of them, and for one that is accused.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from benchmarks.record import markdown, write_result
from phosphene.core.memory import keep_freed_memory
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.scanner.budget import Budget
from phosphene.scanner.context import Context
from phosphene.scanner.examination import Examination, examine_suspects, limit_last_stage
from phosphene.scanner.fusion import fuse
from phosphene.scanner.measuring import measure_statistics, prepare_classifier
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.reference import load_shipped
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import LATER, STATISTICS

SIDE, CLASSES = 32, 10
WIDTH, HEADS, DEPTH, PATCH = 128, 4, 4, 4  # of the transformer
LAST = "last stage"
OUTCOMES = {  # is it clear by the first statistics, and does a class stand out?
    "nothing found by the first": (True, False),
    "nothing found": (False, False),
    "accused": (False, True),
}


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut that pads new channels with zeros."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
        self.stride, self.new = stride, out - channels

    def forward(self, x: Tensor) -> Tensor:
        shortcut = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))
        return (self.second(self.first(x)) + shortcut).relu()


def build_resnet(blocks: int = 9) -> nn.Module:
    """ResNet-(6·blocks + 2)."""
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    body = [
        Block(width // 2 if first and width > 16 else width, width, 2 if first and width > 16 else 1)
        for width in (16, 32, 64)
        for first in (True, *[False] * (blocks - 1))
    ]
    return nn.Sequential(*stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


class Transformer(nn.Module):
    """Patches of 4×4 pixels, four layers of width 128: 0.8 million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.place = nn.Parameter(0.02 * torch.randn(1, (SIDE // PATCH) ** 2, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, DEPTH, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.layers(tokens).mean(dim=1))


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {"ResNet-56": build_resnet, "transformer": Transformer}


def measure(name: str, share: float) -> list[dict[str, str]]:
    """Rows of one network: each stage, the last one twice, and both sums."""
    torch.manual_seed(0)
    classifier = prepare_classifier(Classifier(NETWORKS[name]().eval(), InputFormat((SIDE, SIDE), 3), name=name))
    settings = Settings()
    if share < 1:
        short = {key: max(1, round(share * value)) for key, value in vars(settings).items() if "iterations" in key}
        settings = replace(settings, **short)
    budget = Budget(ModelSize.of(classifier), (*STATISTICS.values(), Examination()))
    with budget.count_passes(classifier):
        measurement = measure_statistics(Context(classifier, settings), budget)
        fused, last = fuse(measurement.row, load_shipped()), {}
        for words, (clear, stands_out) in OUTCOMES.items():
            since = budget.mark()
            limited = limit_last_stage(
                measurement.context.settings, clear=clear, stands_out=stands_out, accused=stands_out
            )
            examine_suspects(replace(measurement.context, settings=limited), fused)
            last[words] = (budget.seconds - since.seconds, budget.passes - since.passes)
    stages = [(stage.name, stage.seconds, stage.passes) for stage in budget.done]
    first = [stage for stage in stages if stage[0] not in {statistic.key for statistic in LATER}]
    listed = [*stages, *((f"{LAST}, {words}", *took) for words, took in last.items())]
    for words, (clear, _) in OUTCOMES.items():
        parts = [stage[1:] for stage in (first if clear else stages)]
        listed.append((f"all, {words}", *map(sum, zip(*parts, last[words], strict=True))))
    return [
        {"network": name, "stage": stage, "seconds": f"{seconds:.1f}", "images forward": str(passes)}
        for stage, seconds, passes in listed
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the iterations, for a trial; nothing is written")
    options = parser.parse_args(arguments)
    keep_freed_memory()  # as the command does
    rows = [row for name in NETWORKS for row in measure(name, options.share)]
    print(markdown(rows))
    if options.share == 1:
        print(write_result("scan-seconds", "python -m benchmarks.scan_seconds", {"side": SIDE}, rows))


if __name__ == "__main__":
    main()
