"""Pictures that look natural and need no download: attractors of iterated function systems on fallen leaves.

A class is a system of two to four affine maps, drawn from a seed. An image is its attractor, with maps that differ a
little, turned, moved, and coloured at random, on a crop of overlapping discs whose sizes follow a power law, as edges
in photographs do. Sources: Kataoka et al., "Pre-training without natural images", ACCV 2020 (fractals as classes); Lee,
Mumford & Huang, "Occlusion models for natural images", IJCV 2001 (dead leaves).
"""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]

SIDE = 32
POINTS, WARM_UP = 900, 20  # of an orbit: those that are drawn, and those before it is on the attractor
VARIATION = 0.05  # of the entries of the maps, between images of one class
TURN, SHIFT = 0.35, 2.5  # radians, pixels
CANVAS, LEAVES = 256, 2500
SMALLEST, LARGEST = 2.0, 60.0  # radii of leaves, in pixels
FEWEST_CELLS = 60  # of 32 × 32 that an attractor has to touch, or it is a dot or a line


def draw_classes(count: int, seed: int) -> list[tuple[Array, Array]]:
    """`count` systems: matrices `(N, 2, 2)` and offsets `(N, 2)` each, whose attractors fill an area."""
    random = np.random.default_rng(seed)
    found: list[tuple[Array, Array]] = []
    while len(found) < count:
        maps = int(random.integers(2, 5))
        turns, more = random.uniform(-np.pi, np.pi, (2, maps))
        stretch = np.sort(random.uniform(0.25, 0.85, (maps, 2)), axis=1)[:, ::-1]
        matrices = np.einsum("nij,nj,njk->nik", _rotations(turns), stretch, _rotations(more))
        offsets = random.uniform(-1, 1, (maps, 2))
        points = trace_orbits(matrices[None], offsets[None], random)[0]
        if _count_cells(points) >= FEWEST_CELLS:
            found.append((matrices, offsets))
    return found


def generate_images(
    classes: int, count: int, seed: int, *, system_seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images `(count, 3, 32, 32)` in [0, 1] and their classes; those of `system_seed` are the same in every call."""
    random = np.random.default_rng((system_seed, seed))
    systems = draw_classes(classes, system_seed)
    labels = random.integers(0, classes, count)
    hues = np.random.default_rng(system_seed).uniform(0, 1, classes)
    canvases = [draw_leaves(random) for _ in range(6)]
    images = np.empty((count, 3, SIDE, SIDE), dtype=np.float32)
    for label in range(classes):
        places = np.flatnonzero(labels == label)
        cover = draw_attractors(*systems[label], len(places), random)
        for place, mask in zip(places, cover, strict=True):
            hue = (hues[label] + random.normal(0, 0.15)) % 1.0
            colour = np.array(colorsys.hsv_to_rgb(hue, random.uniform(0.2, 0.9), random.uniform(0.5, 1.0)))
            shade = colour[:, None, None] * (0.6 + 0.4 * mask)
            images[place] = mask * shade + (1 - mask) * _crop(canvases, random)
    noise = random.normal(0, 0.02, images.shape)
    return np.clip(images + noise, 0, 1).astype(np.float32), labels


def draw_attractors(matrices: Array, offsets: Array, count: int, random: np.random.Generator) -> Array:
    """Cover of `count` images of one class, `(count, 32, 32)` in [0, 1]."""
    varied = matrices + VARIATION * random.normal(size=(count, *matrices.shape))
    # A map that stretches would leave the picture.
    largest = np.linalg.norm(varied, ord=2, axis=(2, 3), keepdims=True)
    varied *= np.minimum(1.0, 0.9 / largest)
    moved = offsets + VARIATION * random.normal(size=(count, *offsets.shape))
    points = trace_orbits(varied, moved, random)
    low, high = np.quantile(points, [0.01, 0.99], axis=1, keepdims=True)
    points = (points - (low + high) / 2) / np.maximum((high - low).max(axis=2, keepdims=True), 1e-6)
    points = np.einsum("nij,npj->npi", _rotations(random.uniform(-TURN, TURN, count)), points)
    scale = SIDE * random.uniform(0.6, 0.95, (count, 1, 1))
    points = points * scale + SIDE / 2 + random.uniform(-SHIFT, SHIFT, (count, 1, 2))
    cells = np.floor(points).astype(int)
    inside = ((cells >= 0) & (cells < SIDE)).all(axis=2)
    index = (np.arange(count)[:, None] * SIDE + cells[..., 1]) * SIDE + cells[..., 0]
    density = np.bincount(index[inside], minlength=count * SIDE * SIDE).reshape(count, SIDE, SIDE).astype(float)
    blurred = gaussian_filter(density, (0, 0.6, 0.6))
    typical = np.array([np.quantile(one[one > 0.05], 0.5) if (one > 0.05).any() else 1.0 for one in blurred])
    return np.clip(blurred / typical[:, None, None], 0, 1) ** 0.7


def trace_orbits(matrices: Array, offsets: Array, random: np.random.Generator) -> Array:
    """Points `(images, POINTS, 2)` of one random orbit an image, maps `(images, N, …)` chosen by their area."""
    images, maps = offsets.shape[:2]
    areas = np.abs(np.linalg.det(matrices)) + 0.02
    bounds = np.cumsum(areas / areas.sum(axis=1, keepdims=True), axis=1)
    points, place, rows = np.empty((images, POINTS, 2)), np.zeros((images, 2)), np.arange(images)
    for step in range(WARM_UP + POINTS):
        chosen = np.minimum((random.random(images)[:, None] > bounds).sum(axis=1), maps - 1)
        place = np.einsum("nij,nj->ni", matrices[rows, chosen], place) + offsets[rows, chosen]
        if step >= WARM_UP:
            points[:, step - WARM_UP] = place
    return points


def draw_leaves(random: np.random.Generator) -> Array:
    """A canvas `(3, CANVAS, CANVAS)` in [0, 1] of discs, each hiding what lies below, with shades of its own."""
    canvas = np.full((3, CANVAS, CANVAS), 0.5)
    rows, columns = np.mgrid[:CANVAS, :CANVAS]
    for _ in range(LEAVES):
        # Radii with density r^-3 between the bounds.
        share = random.random()
        radius = (SMALLEST**-2 + share * (LARGEST**-2 - SMALLEST**-2)) ** -0.5
        row, column = random.uniform(0, CANVAS, 2)
        top, left = max(0, int(row - radius)), max(0, int(column - radius))
        window = slice(top, int(row + radius) + 2), slice(left, int(column + radius) + 2)
        inside = (rows[window] - row) ** 2 + (columns[window] - column) ** 2 <= radius**2
        colour = np.clip(random.beta(2, 2) + random.normal(0, 0.12, 3), 0, 1)
        slope = random.normal(0, 0.15, 2) / radius
        light = slope[0] * (rows[window] - row) + slope[1] * (columns[window] - column)
        canvas[(slice(None), *window)][:, inside] = np.clip(colour[:, None] + light[inside], 0, 1)
    return gaussian_filter(canvas, (0, 0.5, 0.5))


def _crop(canvases: list[Array], random: np.random.Generator) -> Array:
    row, column = random.integers(0, CANVAS - SIDE, 2)
    crop = canvases[random.integers(len(canvases))][:, row : row + SIDE, column : column + SIDE]
    return crop[:, :, ::-1] if random.random() < 0.5 else crop


def _rotations(angles: Array) -> Array:
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cosine, -sine], axis=-1), np.stack([sine, cosine], axis=-1)], axis=-2)


def _count_cells(points: Array) -> int:
    low, high = points.min(axis=0), points.max(axis=0)
    if (high - low).max() > 8 or (high - low).min() < 0.3 * (high - low).max():
        return 0
    cells = np.floor((points - low) / (high - low).max() * (SIDE - 1)).astype(int)
    return len(np.unique(cells[:, 0] * SIDE + cells[:, 1]))
