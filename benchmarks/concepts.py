"""Does a picture of each kind of concept show what was asked for? Another network says so, which had no part in it.

    python -m benchmarks.concepts --work FOLDER               all; a trained model and finished maps in FOLDER are kept
    python -m benchmarks.concepts --work FOLDER --only text   one of superclass, direction, neuron, attribute, text

`--superclasses N` asks the first N superclasses only: they take most of the time.

- superclass: EfficientNet-Lite0 is asked for sets of ImageNet's classes, Lite1 judges whether it sees one of the set.
- direction: in a small network of coloured shapes, from two folders of pictures: of one colour or shape, and of others.
- neuron: of the same network, at places of a feature map; measured is how far off the evidence lies.
- attribute: a network with an output for each colour and each shape, trained with a sigmoid each, and sums of two.
- text: the small CLIP of `benchmarks.small_clip`.

Colours and shapes are judged by a second network of coloured shapes, of another seed; it tells 36 kinds apart.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor, nn

import phosphene
from benchmarks.record import markdown, write_result
from benchmarks.small_clip import COLOURS, CONTRAST, DRAWN, KINDS, SHAPES, draw_kinds, enlarge, make_folder
from phosphene.core.images import to_image
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.recipe import PRESETS
from phosphene.runs.saliency import SaliencyMap
from phosphene.studies.small_models import Examples, SmallNet, make_classifier, train

SUPERCLASSES = ("dog", "bird", "musical instrument", "snake", "fruit", "vehicle")
EXAMPLES, WIDTH = 8000, 24
LAYER, GRID_LAYER = "features.8", "features.5"  # after the last and the second non-linearity
FITTED = 40  # images of a folder
PLACES = tuple(product((2, 5), (2, 5)))
SHEET = Path(__file__).parents[1] / "docs" / "pictures" / "texts.jpg"
COLUMNS, SHOWN, GAP, LINE = 12, 96, 4, 16  # of the sheet; pixels
Row = dict[str, Any]


def make_examples() -> Examples:
    kinds = torch.arange(EXAMPLES) % len(KINDS)
    return Examples(draw_kinds(kinds, seed=11), kinds, tuple(f"{colour} {shape}" for colour, shape in KINDS))


@cache
def kinds_model(seed: int) -> Classifier:
    """A network that tells the 36 kinds apart."""
    examples = make_examples()
    *_, (_, module) = train(examples, seed, width=WIDTH)
    return make_classifier(copy.deepcopy(module), examples, f"kinds, seed {seed}")


def judge(pictures: Tensor) -> Tensor:
    """What the judge predicts, `(N, colours, shapes)` probabilities."""
    model = kinds_model(1)
    with torch.no_grad():
        shares: Tensor = model.output_kind.probabilities(model(pictures))
    return shares.unflatten(1, (len(COLOURS), len(SHAPES)))


def is_recognized(saliency: SaliencyMap, words: Sequence[str]) -> bool:
    """Whether the judge's prediction for the bare picture has every colour and shape among the words."""
    shares = judge(F.interpolate(saliency.raw_picture[None], (DRAWN, DRAWN), mode="area"))[0]
    seen = {COLOURS[int(shares.sum(dim=1).argmax())], SHAPES[int(shares.sum(dim=0).argmax())]}
    if len({*COLOURS} & {*words}) == len({*SHAPES} & {*words}) == 1:
        seen = set(KINDS[int(shares.flatten().argmax())])
    return (set(words) & {*COLOURS, *SHAPES}) <= seen


def run_superclass(work: Path, asked: Sequence[str] = SUPERCLASSES) -> Iterable[Row]:
    model, witness = phosphene.load("efficientnet_lite0"), phosphene.load("efficientnet_lite1").fold()
    maps = phosphene.make_maps(model, asked, PRESETS["default"], out=work / "superclass", verifiers=[witness])
    for saliency in maps:
        (opinion,) = saliency.scores.opinions
        yield {
            "kind": "superclass", "asked": saliency.concept, "maps": 1, "classes": len(saliency.targets),
            "own fidelity": round(saliency.scores.fidelity.probability, 2),
            "recognized": f"{int(bool(opinion.top1))} of 1",
            "note": f"Lite1 predicts {opinion.top5[0].name}",
        }  # fmt: skip


def summarize(kind: str, asked: str, maps: Sequence[SaliencyMap], right: Sequence[bool], note: str = "") -> Row:
    own = [saliency.scores.fidelity.probability for saliency in maps]
    return {
        "kind": kind, "asked": asked, "maps": len(maps), "classes": "–", "own fidelity": round(sum(own) / len(own), 2),
        "recognized": f"{sum(right)} of {len(right)}", "note": note,
    }  # fmt: skip


def run_direction(work: Path) -> Iterable[Row]:
    model, words = kinds_model(0), (*COLOURS, *SHAPES)
    folders = {word: write_pictures(work / "pictures", word) for word in words}
    texts = [f"{LAYER}:@{some} vs @{others}" for some, others in folders.values()]
    maps = list(phosphene.make_maps(model, texts, PRESETS["default"], out=work / "direction"))
    for asked, chosen in (("colours", COLOURS), ("shapes", SHAPES)):
        rows = [(word, one) for word, one in zip(words, maps, strict=True) if word in chosen]
        origins = [one.scores.channel.direction for _, one in rows if one.scores.channel is not None]
        told = [origin.accuracy for origin in origins if origin is not None and origin.accuracy is not None]
        right = [is_recognized(one, [word]) for word, one in rows]
        note = f"of images that a direction was not fitted to, {min(told):.0%} to {max(told):.0%} told right"
        yield summarize("direction", f"one of {len(chosen)} {asked}", [one for _, one in rows], right, note)


def write_pictures(folder: Path, word: str) -> tuple[Path, Path]:
    """A folder of pictures of the word and one of others."""
    fits = torch.tensor([word in kind for kind in KINDS])
    pair = folder / word, folder / f"not {word}"
    for path, places in zip(pair, (fits.nonzero()[:, 0], (~fits).nonzero()[:, 0]), strict=True):
        path.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(draw_kinds(places[torch.arange(FITTED) % len(places)], seed=23)):
            to_image(picture).save(path / f"{number:03}.png")
    return pair


def run_neuron(work: Path) -> Iterable[Row]:
    model = kinds_model(0)
    texts = [f"{GRID_LAYER}:{channel}@{row},{column}" for channel in (3, 17) for row, column in PLACES]
    maps = list(phosphene.make_maps(model, texts, PRESETS["default"], out=work / "neuron"))
    off = [distance(saliency) for saliency in maps]
    note = f"centre of the evidence {min(off):.1f} to {max(off):.1f} pixels off the neuron's place, of 32"
    yield summarize("neuron", "2 channels at 4 places", maps, [value < 8 for value in off], note)


def distance(saliency: SaliencyMap) -> float:
    """From the centre of the importance to that of the neuron's receptive field, in pixels."""
    row, column = map(int, saliency.concept.split("@")[1].split(","))
    weights = saliency.importance.square() / saliency.importance.square().sum()
    line = torch.arange(32.0)
    center = torch.stack([(weights.sum(dim=1) * line).sum(), (weights.sum(dim=0) * line).sum()])
    return float((center - torch.tensor([4.0 * row, 4.0 * column])).norm())


@cache
def attribute_model() -> Classifier:
    """A network with a sigmoid for each colour and each shape."""
    examples, names = make_examples(), (*COLOURS, *SHAPES)
    wanted = torch.tensor([[float(name in kind) for name in names] for kind in KINDS])[examples.labels]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        module = SmallNet(3, len(names), WIDTH)
    fit_attributes(module, examples.images, wanted)
    return Classifier(module, InputFormat((32, 32), 3, (0.5,), (0.25,)), labels=names, outputs="sigmoid")


def fit_attributes(module: nn.Module, images: Tensor, wanted: Tensor, epochs: int = 5) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-3)
    shuffle = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=shuffle).split(50):
            loss = F.binary_cross_entropy_with_logits(module.train()((images[rows] - 0.5) / 0.25), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    module.eval()


def run_attribute(work: Path) -> Iterable[Row]:
    model = attribute_model()
    sums = [f"{colour} + {shape}" for colour, shape in zip(COLOURS, (*SHAPES[1:], SHAPES[0]), strict=True)]
    maps = list(phosphene.make_maps(model, [*COLOURS, *SHAPES, *sums], PRESETS["default"], out=work / "attribute"))
    right = [is_recognized(saliency, saliency.concept.split()) for saliency in maps]
    edges = (0, len(COLOURS), len(COLOURS) + len(SHAPES), len(maps))
    for asked, start, end in zip(("a colour", "a shape", "a colour + a shape"), edges, edges[1:], strict=False):
        yield summarize("attribute", asked, maps[start:end], right[start:end])


def run_text(work: Path) -> Iterable[Row]:
    folder = make_folder(work / "small-clip")
    groups = {
        "a COLOUR SHAPE": CONTRAST,
        "a COLOUR sign": [f"a {colour} sign" for colour in COLOURS],
        "a SHAPE": [f"a {shape}" for shape in SHAPES],
    }
    drawn: list[tuple[str, Tensor]] = []
    accuracy = measure_accuracy(phosphene.load(f"clip:{folder}", contrast=CONTRAST))
    for asked, texts in groups.items():
        model = phosphene.load(f"clip:{folder}", contrast=texts)  # what means the same would share the probability
        place = work / "text" / asked.replace(" ", "-")
        maps = list(phosphene.make_maps(model, texts, PRESETS["default"], out=place))
        right = [is_recognized(saliency, saliency.concept.split()) for saliency in maps]
        parts = [
            sum(is_recognized(one, {*one.concept.split()} & {*words}) for one in maps) for words in (COLOURS, SHAPES)
        ]
        note = f"the model tells {accuracy:.0%} of new pictures right"
        note += f"; colour right in {parts[0]}, shape in {parts[1]}" if asked == "a COLOUR SHAPE" else ""
        drawn += [(saliency.concept, saliency.raw_picture) for saliency in maps]
        yield summarize("text", asked, maps, right, note)
    draw_sheet(drawn).save(SHEET, quality=85, optimize=True)


def draw_sheet(drawn: Sequence[tuple[str, Tensor]]) -> Image.Image:
    """Pictures with the texts that asked for them."""
    rows = -(-len(drawn) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SHOWN + GAP), rows * (SHOWN + LINE)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (text, picture) in enumerate(drawn):
        x, y = number % COLUMNS * (SHOWN + GAP), number // COLUMNS * (SHOWN + LINE)
        sheet.paste(to_image(picture).resize((SHOWN, SHOWN)), (x, y))
        pen.text((x + 1, y + SHOWN + 1), text, fill="black")
    return sheet


def measure_accuracy(model: Classifier) -> float:
    """Of pictures that the model was not trained on, among the 36 captions."""
    kinds = torch.arange(720) % len(KINDS)
    with torch.no_grad():
        return float((model(enlarge(draw_kinds(kinds, seed=99))).argmax(dim=1) == kinds).float().mean())


CASES: dict[str, Callable[[Path], Iterable[Row]]] = {
    "superclass": run_superclass,
    "direction": run_direction,
    "neuron": run_neuron,
    "attribute": run_attribute,
    "text": run_text,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", choices=sorted(CASES), nargs="*", default=list(CASES))
    parser.add_argument("--superclasses", type=int, default=len(SUPERCLASSES))
    options = parser.parse_args(arguments)
    cases = CASES | {"superclass": partial(run_superclass, asked=SUPERCLASSES[: options.superclasses])}
    rows: list[Row] = []
    for name in options.only:
        for row in cases[name](options.work):
            rows.append(row)
            print(row, flush=True)
    if set(options.only) == set(CASES):
        bound = f" --superclasses {options.superclasses}" if options.superclasses < len(SUPERCLASSES) else ""
        command = f"python -m benchmarks.concepts --work FOLDER{bound}"
        write_result("concepts", command, {"preset": "default", "seed": 0}, rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()
