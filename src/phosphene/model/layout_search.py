"""Where the images and the channels of each layer lie, found by observation and never guessed from sizes.

*Images.* One image of a few is replaced by another. The dimension whose slices change with exactly one image each is
that of the images; where an image has several slices (attention windows, frames), their order is seen as well.

*Channels.* In this order: what the modules say (`phosphene.model.channel_evidence`); and what changes with the place in
the image: a change in one corner and one in the opposite corner move along positions, and not along channels.

Where either is not certain, the layer has no layout, and a concept that names it is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from phosphene.errors import BadInput
from phosphene.model.calls import Call, observe_calls
from phosphene.model.channel_evidence import find_channels
from phosphene.model.classifier import Classifier
from phosphene.model.layout import Layout, Unclear

CHANGED = 1e-3  # of the largest change of a layer, below which a slice is taken for unchanged
TOUCHED = 0.5  # share of slices that have to change with some image; the others may be dead
MOVED, STILL = 0.15, 0.08  # of a dimension's length: from which a change moves along it, below which it does not

SEVERAL = 4  # images of a fixed batch up to which each is replaced; of more the first, the middle and the last

Place = tuple[int, int, bool]  # dimension of the images, rows an image, interleaved
Changes = Mapping[str, Tensor]  # how far each number of each layer moves


def find_layouts(classifier: Classifier, names: Collection[str] | None = None) -> dict[str, Layout | Unclear]:
    """The layout of what each named layer gives, by default of every layer, in the order of computing.

    A layer that never runs or gives no tensor is missing. Of one that runs more than once it is that of the last time.
    """
    key = ("layouts", None if names is None else tuple(sorted(names)))
    found: dict[str, Layout | Unclear] = classifier.cache.get(key, lambda: _search(classifier, names))
    return found


def require_layouts(classifier: Classifier, names: Collection[str]) -> dict[str, Layout]:
    """The layouts of the named layers. Raises `BadInput` where one is missing or not certain."""
    found = find_layouts(classifier, names)
    certain: dict[str, Layout] = {}
    for name in names:
        layout = found.get(name, Unclear("it gives no tensor of features when the model runs"))
        if isinstance(layout, Unclear):
            raise BadInput(
                f"layer {name!r} of {classifier.name} has no channels that can be asked for: {layout.reason}; choose "
                "another layer, `phosphene list layers MODEL` shows all"
            )
        certain[name] = layout
    return certain


def _search(classifier: Classifier, names: Collection[str] | None) -> dict[str, Layout | Unclear]:
    count = classifier.fixed_batch or 2
    few = classifier.replace(batch_size=count, reference=classifier.reference)
    generator = torch.Generator().manual_seed(1)
    images, others = (torch.rand(count, *classifier.image_shape, generator=generator) for _ in range(2))
    calls = observe_calls(few, images, names)
    before = {call.name: call for call in calls if call.values is not None}  # of several calls the last
    numbers = sorted({0, count // 2, count - 1} if count > SEVERAL else set(range(count)))
    by_image = [_measure_changes(few, before, _replace_image(images, others, number)) for number in numbers]
    places = {name: _place_images([changes[name] for changes in by_image], numbers, count) for name in before}
    channels = {name: find_channels(call, calls) for name, call in before.items()}
    unsaid = {name: call for name, call in before.items() if channels[name] is None and (call.output.ndim > 2)}
    if unsaid:
        corners = [_measure_changes(few, unsaid, _replace_corner(images, others, last)) for last in (False, True)]
        channels |= {name: _still_dimension([changes[name] for changes in corners], places[name]) for name in unsaid}
    counts = Counter(call.name for call in calls)
    return {name: _complete(places[name], channels[name], call.output, counts[name]) for name, call in before.items()}


def _replace_image(images: Tensor, others: Tensor, number: int) -> Tensor:
    changed = images.clone()
    changed[number] = others[number]
    return changed


def _replace_corner(images: Tensor, others: Tensor, last: bool) -> Tensor:
    """The upper left or the lower right quarter of every image is another one."""
    changed, (height, width) = images.clone(), (side // 2 for side in images.shape[2:])
    rows, columns = (slice(height, None), slice(width, None)) if last else (slice(height), slice(width))
    changed[:, :, rows, columns] = others[:, :, rows, columns]
    return changed


def _measure_changes(classifier: Classifier, before: Mapping[str, Call], images: Tensor) -> Changes:
    after = {call.name: call.values for call in observe_calls(classifier, images, before) if call.values is not None}
    return {name: _difference(call.values, after.get(name)) for name, call in before.items()}


def _difference(old: Tensor | None, new: Tensor | None) -> Tensor:
    """`|old − new|`; empty where the shape depends on what is shown."""
    if old is None or new is None or old.shape != new.shape:
        return torch.zeros(0)
    return (old.float() - new.float()).abs_().nan_to_num_()


def _place_images(changes: Sequence[Tensor], numbers: Sequence[int], count: int) -> Place | Unclear:
    """Where the images are, from what those of the given numbers, of `count` in all, change."""
    if any(not one.any() for one in changes):
        return Unclear("it does not change with the image")
    if count == 1:
        return _place_single(changes[0])
    places = [
        place
        for dim in range(changes[0].ndim)
        for place in _places_along(dim, torch.stack([_slices(one, dim) for one in changes]), numbers, count)
    ]
    if len(places) == 1:
        return places[0]
    shape = tuple(changes[0].shape)
    return Unclear(f"no dimension of its output {shape} holds one image after the other")


def _place_single(change: Tensor) -> Place | Unclear:
    """Of a model that takes one image at a time."""
    if change.shape[0] == 1:
        return 0, 1, False
    return Unclear(f"which dimension of its output {tuple(change.shape)} holds the image is not certain")


def _slices(change: Tensor, dim: int) -> Tensor:
    """Which slices along a dimension change, `(size,)`."""
    largest = change.movedim(dim, 0).flatten(1).amax(dim=1)
    return largest > CHANGED * largest.max()


def _places_along(dim: int, changed: Tensor, numbers: Sequence[int], count: int) -> list[Place]:
    """How the images lie along a dimension whose slices change as `changed` `(numbers, size)` says, if they do."""
    size = changed.shape[1]
    if size % count or changed.sum(dim=0).max() > 1 or changed.float().mean() * count < TOUCHED:
        return []
    rows, place = size // count, torch.arange(size)
    owners = {False: place // rows, True: place % count} if rows > 1 else {False: place}
    owned = {order: torch.stack([owner == number for number in numbers]) for order, owner in owners.items()}
    return [(dim, rows, order) for order, theirs in owned.items() if not (changed & ~theirs).any()]


def _complete(place: Place | Unclear, channels: int | None, output: Tensor, calls: int) -> Layout | Unclear:
    """The layout of a layer, from where its images are and which dimension holds its channels."""
    if isinstance(place, Unclear):
        return place
    others = [dim for dim in range(output.ndim) if dim != place[0]]
    if not others:
        return Unclear("it gives one number an image")
    channels = others[0] if len(others) == 1 else channels
    if channels is None or channels == place[0]:
        return Unclear(f"which dimension of its output {tuple(output.shape)} holds channels is not certain")
    return Layout(*place, channels, calls)


def _still_dimension(corners: Sequence[Tensor], place: Place | Unclear) -> int | None:
    """The only dimension beside that of the images along which changes in opposite corners lie at the same place."""
    if isinstance(place, Unclear) or not all(change.any() for change in corners):
        return None
    sizes = dict(enumerate(corners[0].shape))
    moves = {dim: _move_along(corners, dim) for dim, size in sizes.items() if dim != place[0] and size > 1}
    still = [dim for dim, move in moves.items() if move < STILL]
    certain = all(move < STILL or move > MOVED for move in moves.values())
    return still[0] if certain and len(still) == 1 else None


def _move_along(corners: Sequence[Tensor], dim: int) -> float:
    """How far the middle of the change moves along a dimension, as a share of its length."""
    first, last = (change.movedim(dim, 0).flatten(1).sum(dim=1) for change in corners)
    numbers = torch.arange(len(first), dtype=first.dtype)
    first_middle, last_middle = ((numbers * one).sum() / one.sum() for one in (first, last))
    return float((last_middle - first_middle).abs() / max(1, len(first) - 1))
