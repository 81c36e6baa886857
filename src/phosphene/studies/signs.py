"""Generated traffic signs: labelled pictures from a seed, to train and scan models without a download.

A class is a shape, two colours and a glyph. Its sign is drawn once, large, with pillow polygons (no font, so every
machine draws the same) and then placed in batches on textured backgrounds with jitter, lighting and noise. Classes
share shapes, colours and glyphs, so that none of the three alone identifies a class.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from phosphene.errors import BadInput

Point = tuple[float, float]

TEMPLATE = 48  # side of a template: twice the size at which signs mostly appear, so bilinear sampling does not alias
OVERSAMPLING = 8  # templates are drawn this much larger and averaged down
BLOCK = 500  # images that share a generator, so that the first images do not depend on the number that follows

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (200, 26, 34),
    "blue": (24, 74, 170),
    "yellow": (245, 200, 20),
    "green": (16, 122, 66),
    "orange": (238, 122, 22),
    "white": (242, 242, 238),
    "black": (28, 28, 30),
    "purple": (118, 48, 140),
}


def _regular_polygon(corners: int, start: float = -90.0, radius: float = 0.95) -> tuple[Point, ...]:
    """A regular polygon around the middle, its first corner at `start` degrees (−90 is up)."""
    angles = (math.radians(start + 360.0 * k / corners) for k in range(corners))
    return tuple((radius * math.cos(angle), radius * math.sin(angle)) for angle in angles)


# Outlines in [-1,1]², x to the right and y down.
SHAPES: dict[str, tuple[Point, ...]] = {
    "circle": _regular_polygon(60, radius=0.88),
    "triangle": ((0.0, -0.85), (0.95, 0.8), (-0.95, 0.8)),
    "yield": ((0.0, 0.85), (-0.95, -0.8), (0.95, -0.8)),
    "square": ((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)),
    "diamond": _regular_polygon(4),
    "octagon": _regular_polygon(8, start=-67.5, radius=0.94),
    "pentagon": _regular_polygon(5),
    "plate": ((-0.92, -0.56), (0.92, -0.56), (0.92, 0.56), (-0.92, 0.56)),
}

# Strokes in the same square, about a third of its side large; a glyph is one or more filled polygons.
_BAR: tuple[Point, ...] = ((-0.42, -0.12), (0.42, -0.12), (0.42, 0.12), (-0.42, 0.12))
_POST: tuple[Point, ...] = tuple((y, x) for x, y in _BAR)
_HALF_ARROW: tuple[Point, ...] = ((0.0, -0.48), (0.4, 0.0), (0.13, 0.0), (0.13, 0.45))
_ARROW: tuple[Point, ...] = (*_HALF_ARROW, *((-x, y) for x, y in reversed(_HALF_ARROW[1:])))


def _rotate(polygon: Sequence[Point], degrees: float) -> tuple[Point, ...]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return tuple((cosine * x - sine * y, sine * x + cosine * y) for x, y in polygon)


def _move(polygon: Sequence[Point], right: float, down: float, scale: float = 1.0) -> tuple[Point, ...]:
    return tuple((scale * x + right, scale * y + down) for x, y in polygon)


GLYPHS: dict[str, tuple[tuple[Point, ...], ...]] = {
    "plain": (),
    "bar": (_BAR,),
    "post": (_POST,),
    "plus": (_BAR, _POST),
    "times": (_rotate(_BAR, 45), _rotate(_BAR, -45)),
    "up": (_ARROW,),
    "right": (_rotate(_ARROW, 90),),
    "left": (_rotate(_ARROW, -90),),
    "down": (_rotate(_ARROW, 180),),
    "dot": (_regular_polygon(30, radius=0.3),),
    "bars": (_move(_BAR, 0, -0.24), _move(_BAR, 0, 0.24)),
    "posts": (_move(_POST, -0.24, 0), _move(_POST, 0.24, 0)),
    "slash": (_rotate(_move(_BAR, 0, 0, 1.3), -45),),
    "block": (_move(SHAPES["square"], 0, 0, 0.42),),
    "wedge": (_move(SHAPES["triangle"], 0, 0.02, 0.42),),
}


@dataclass(frozen=True)
class Sign:
    """A class: a `rim` around a `fill`, and a glyph in `ink`."""

    shape: str
    rim: str
    fill: str
    glyph: str
    ink: str

    @property
    def name(self) -> str:
        return f"{self.rim}-{self.fill} {self.shape} with {self.ink} {self.glyph}"


def _parse_signs(*rows: str) -> tuple[Sign, ...]:
    return tuple(Sign(*row.split()) for row in rows)


# The first ten are the small task; 43 as in the German benchmark.
SIGNS = _parse_signs(
    "octagon white red bar white",
    "circle red white bar black",
    "circle blue blue up white",
    "triangle red white post black",
    "diamond black yellow up black",
    "square white blue post white",
    "yield red white dot black",
    "circle red red bar white",
    "plate white green right white",
    "pentagon black orange dot black",
    "circle red white post black",
    "circle red white plus black",
    "circle red white times black",
    "circle red white dot black",
    "circle red white bars black",
    "circle red white posts black",
    "circle red blue slash red",
    "circle red blue times red",
    "circle blue blue right white",
    "circle blue blue left white",
    "circle blue blue down white",
    "circle blue blue dot white",
    "circle black white slash black",
    "triangle red white bar black",
    "triangle red white dot black",
    "triangle red white times black",
    "triangle red yellow left black",
    "triangle red yellow right black",
    "diamond white yellow plain black",
    "diamond black yellow left black",
    "diamond black yellow times black",
    "diamond black orange bars black",
    "diamond black orange block black",
    "square white blue bar white",
    "square white blue wedge white",
    "square white green up white",
    "square black white block black",
    "octagon white purple times white",
    "yield red yellow plain black",
    "pentagon white green plus white",
    "pentagon black yellow wedge black",
    "plate white green left white",
    "plate black white posts black",
)


def class_names(classes: int = 10) -> tuple[str, ...]:
    """The names of the first `classes` signs."""
    _check_classes(classes)
    return tuple(sign.name for sign in SIGNS[:classes])


def generate_examples(count: int, *, classes: int = 10, seed: int = 0, size: int = 32) -> tuple[Tensor, Tensor]:
    """`count` pictures `(count, 3, size, size)` in [0,1] and their labels, of `classes` equally likely signs."""
    _check_classes(classes)
    blocks = range(-(-max(count, 1) // BLOCK))
    labels = [torch.randint(classes, (BLOCK,), generator=_make_generator(seed, -1 - block)) for block in blocks]
    chosen = torch.cat(labels)[:count]
    return draw_pictures(chosen, seed=seed, size=size), chosen


def draw_pictures(labels: Tensor, *, seed: int = 0, size: int = 32, signs: tuple[Sign, ...] = SIGNS) -> Tensor:
    """A picture of each label, a place in `signs`, `(N, 3, size, size)` in [0,1]; with the same seed, the surroundings
    are the same."""
    blocks = [
        _draw_block(chunk, _make_generator(seed, block), size, signs)[: len(chunk)]
        for block, chunk in enumerate(labels.split(BLOCK))
    ]
    return torch.cat(blocks) if blocks else torch.zeros(0, 3, size, size)


def _check_classes(classes: int) -> None:
    if not 2 <= classes <= len(SIGNS):
        raise BadInput(f"{classes} classes of generated signs; expected 2 to {len(SIGNS)}")


def _make_generator(seed: int, block: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + block * 7919 + 1) % 2**63)


def _draw_block(labels: Tensor, generator: torch.Generator, size: int, signs: tuple[Sign, ...]) -> Tensor:
    """Background, sign on it, light on both, noise last. Draws numbers for a whole block, whatever its length."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(BLOCK, *shape, generator=generator)

    padded = F.pad(labels, (0, BLOCK - len(labels)))
    scene = _draw_backgrounds(uniform, size)
    sign = F.grid_sample(_make_templates(signs)[padded], _draw_placements(uniform, size), align_corners=False)
    scene = scene + sign[:, 3:] * (sign[:, :3] / sign[:, 3:].clamp(min=1e-3) - scene)
    lit = scene * _draw_light(uniform, size)
    noise = torch.randn(lit.shape, generator=generator) * uniform(0.0, 0.05, 1, 1, 1)
    return (lit + noise).clamp(0, 1)


Uniform = Callable[..., Tensor]


def _draw_backgrounds(uniform: Uniform, size: int) -> Tensor:
    """Coarse and fine clouds of colour, and a grating of random direction and pitch: sky, leaves, bricks, fences."""
    colour = uniform(0.1, 0.9, 3, 1, 1)
    coarse = F.interpolate(uniform(-1, 1, 3, 3, 3), size=size, mode="bicubic", align_corners=True)
    fine = F.interpolate(uniform(-1, 1, 1, 12, 12), size=size, mode="bilinear", align_corners=True)
    y, x = _coordinates(size)
    angle, pitch = uniform(0, math.pi, 1, 1, 1), uniform(4, 20, 1, 1, 1)
    wave = torch.sin(pitch * (angle.cos() * x + angle.sin() * y) + uniform(0, 6.28, 1, 1, 1))
    scene = colour + uniform(0, 0.35, 1, 1, 1) * coarse + uniform(0, 0.3, 1, 1, 1) * fine
    return (scene + uniform(0, 0.35, 1, 1, 1).sub(0.1).clamp(min=0) * wave * uniform(0.3, 1, 3, 1, 1)).clamp(0, 1)


def _draw_placements(uniform: Uniform, size: int) -> Tensor:
    """Sampling grids that turn, shift, scale and shear the sign."""
    angle, scale = uniform(-0.22, 0.22), uniform(1.15, 1.65)
    shear, stretch = uniform(-0.12, 0.12), uniform(0.9, 1.1)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    rows = [cosine * stretch, -sine + shear, uniform(-0.3, 0.3), sine, cosine / stretch, uniform(-0.3, 0.3)]
    return F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), [BLOCK, 4, size, size], align_corners=False)


def _draw_light(uniform: Uniform, size: int) -> Tensor:
    """Exposure, a cast of colour, and a gradient of light across the picture."""
    y, x = _coordinates(size)
    slope = uniform(-0.2, 0.2, 1, 1, 1) * x + uniform(-0.2, 0.2, 1, 1, 1) * y
    return uniform(0.5, 1.1, 1, 1, 1) * uniform(0.9, 1.1, 3, 1, 1) * (1 + slope)


def _coordinates(size: int) -> tuple[Tensor, Tensor]:
    line = torch.linspace(-1, 1, size)
    return line.view(1, 1, -1, 1), line.view(1, 1, 1, -1)


@functools.lru_cache(maxsize=4)
def _make_templates(signs: tuple[Sign, ...]) -> Tensor:
    """Every sign, `(signs, 4, TEMPLATE, TEMPLATE)`: colours multiplied by coverage, then coverage."""
    return torch.stack([F.avg_pool2d(_draw_template(sign), OVERSAMPLING) for sign in signs])


def _draw_template(sign: Sign) -> Tensor:
    side = TEMPLATE * OVERSAMPLING
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    outline = SHAPES[sign.shape]
    glyph_scale, glyph_down = {"triangle": (0.8, 0.25), "yield": (0.8, -0.25)}.get(sign.shape, (1.0, 0.0))
    middle = sum(y for _, y in outline) / len(outline)
    layers = [(outline, sign.rim), (_move(outline, 0, 0.24 * middle, 0.76), sign.fill)]
    layers += [(_move(part, 0, glyph_down, glyph_scale), sign.ink) for part in GLYPHS[sign.glyph]]
    for polygon, colour in layers:
        draw.polygon([((x + 1) / 2 * side, (y + 1) / 2 * side) for x, y in polygon], fill=(*COLOURS[colour], 255))
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(side, side, 4)
    return pixels.permute(2, 0, 1).float() / 255
