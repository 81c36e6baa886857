"""A small CLIP trained on generated signs with captions, saved as open_clip saves one, in ten minutes on one core.

    python -m benchmarks.small_clip FOLDER          train it; a finished folder is kept, an interrupted one goes on

Signs are of a plain colour and shape with any glyph on them, before any background; a caption says the colour, the
shape, or both. What else is in the picture no caption says. Its convolutions see the pictures enlarged: they halve the
side five times, and of 32 pixels one would be left, without a shape. A picture is compared with all captions of a form.
It is moved and has noise laid on it: of networks that were trained on noise the gradients show what a person would
draw (Kaur, Cohen & Lipton, "Are perceptually-aligned gradients a general property of robust classifiers?", 2019).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from phosphene.core.files import prepare_folder
from phosphene.model.sources.libraries import import_library, import_torchvision
from phosphene.studies.signs import Sign, draw_pictures

SHAPES = ("circle", "triangle", "square", "diamond", "pentagon", "plate")
COLOURS = ("red", "blue", "yellow", "green", "purple", "white")
KINDS = tuple(product(COLOURS, SHAPES))
GLYPHS = ("plain", "dot", "plus", "up", "slash")
INKS = {"yellow": "black", "white": "black"}  # white on the others
SIGNS = tuple(
    Sign(shape, colour, colour, glyph, INKS.get(colour, "white")) for colour, shape in KINDS for glyph in GLYPHS
)
DRAWN, SIDE, MEAN, STD = 32, 64, 0.5, 0.25
SHIFT, NOISE = 4, 0.4  # pixels; largest deviation of the noise, for images in [0,1]
STEPS, BATCH, RATE, SAVE_EVERY = 3000, 96, 2e-3, 100
WEIGHTS = "open_clip_model.safetensors"
CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32, "patch_size": None},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
POOL = 7_200  # pictures that training draws from
CONTRAST = tuple(f"a {colour} {shape}" for colour, shape in KINDS)
FORMS = (("a {colour} {shape}", "a photo of a {colour} {shape}"), ("a {shape}",), ("a {colour} sign",))


def draw_kinds(kinds: Tensor, seed: int) -> Tensor:
    """A picture of each kind, a place in `KINDS`, `(N, 3, 32, 32)` in [0,1]; the glyph is drawn from the seed too."""
    glyphs = torch.randint(len(GLYPHS), kinds.shape, generator=torch.Generator().manual_seed(seed))
    return draw_pictures(kinds * len(GLYPHS) + glyphs, seed=seed, size=DRAWN, signs=SIGNS)


def enlarge(images: Tensor) -> Tensor:
    """Pictures at the side that the model takes."""
    return F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)


def disturb(images: Tensor, seed: int) -> Tensor:
    """Each enlarged picture moved by up to `SHIFT` pixels, with noise of a deviation that is drawn anew for each."""
    draws = torch.Generator().manual_seed(seed)
    down, across = torch.randint(2 * SHIFT + 1, (2,), generator=draws).tolist()
    moved = F.pad(images, (SHIFT,) * 4, mode="replicate")[..., down : down + SIDE, across : across + SIDE]
    deviation = NOISE * torch.rand(len(images), 1, 1, 1, generator=draws)
    return moved + deviation / STD * torch.randn(images.shape, generator=draws)


def build_model(seed: int = 0) -> Any:
    """An untrained CLIP of open_clip: a residual network for images, a transformer for texts."""
    import_torchvision()
    model = import_library("open_clip.model", "open-clip")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model.CLIP(**CONFIG)


def load_tokenizer() -> Any:
    import_torchvision()
    return import_library("open_clip", "open-clip").SimpleTokenizer(context_length=CONFIG["text_cfg"]["context_length"])


def save_model(module: nn.Module, folder: Path) -> None:
    """As open_clip saves a model, the weights last, for they say that the folder is finished."""
    processing = {"size": [SIDE, SIDE], "mean": [MEAN] * 3, "std": [STD] * 3}
    record = {"model_cfg": CONFIG, "preprocess_cfg": processing}
    (folder / "open_clip_config.json").write_text(json.dumps(record, indent=2))
    weights = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    save_file(weights, folder / WEIGHTS)


def train(folder: Path, steps: int = STEPS) -> None:
    """Each picture is to be nearest, of the captions of a form, to the one that fits. Resumes from the last save."""
    module, state = build_model(), folder / "training.pt"
    optimizer = torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    first = 0
    if state.is_file():
        saved = torch.load(state, weights_only=True)
        module.load_state_dict(saved["module"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        first = saved["step"]
    tokenizer, kinds = load_tokenizer(), torch.arange(POOL) % len(KINDS)
    images = (draw_kinds(kinds, seed=1) - MEAN) / STD
    captions = [[list_captions(wording) for wording in form] for form in FORMS]
    for step in range(first, steps):
        rows = torch.randint(POOL, (BATCH,), generator=torch.Generator().manual_seed(step))
        chosen = [form[step % len(form)] for form in captions]
        loss = measure_loss(module.train(), tokenizer, disturb(enlarge(images[rows]), step), kinds[rows], chosen)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % SAVE_EVERY == 0:
            print(f"step {step + 1}: loss {loss.item():.3f}", flush=True)
            save = {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save({**save, "schedule": schedule.state_dict()}, state)
    save_model(module.eval(), folder)
    state.unlink(missing_ok=True)


def list_captions(wording: str) -> list[str]:
    """The caption of every kind in this wording; kinds that it does not tell apart share one."""
    return [wording.format(colour=colour, shape=shape) for colour, shape in KINDS]


def measure_loss(
    module: Any, tokenizer: Any, images: Tensor, kinds: Tensor, captions: Sequence[Sequence[str]]
) -> Tensor:
    """Cross-entropy from pictures to the captions of each form, summed; `captions` has those of all kinds."""
    texts = [list(dict.fromkeys(form)) for form in captions]
    ones, others, scale = module(images, tokenizer([text for form in texts for text in form]))[:3]
    logits = (scale * ones @ others.T).split([len(form) for form in texts], dim=1)
    losses = [
        F.cross_entropy(rows, torch.tensor([form.index(all_kinds[kind]) for kind in kinds.tolist()]))
        for rows, form, all_kinds in zip(logits, texts, captions, strict=True)
    ]
    return torch.stack(losses).sum()


def make_folder(folder: Path) -> Path:
    """The trained model; what is finished is kept."""
    if not (folder / WEIGHTS).is_file():
        prepare_folder(folder)
        train(folder)
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    make_folder(parser.parse_args(arguments).folder)


if __name__ == "__main__":
    main()
