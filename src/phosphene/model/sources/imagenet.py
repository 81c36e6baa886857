"""The names of the ImageNet classes."""

from __future__ import annotations

from phosphene.model.sources.libraries import import_torchvision


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 ImageNet classes, every name of each, separated by commas."""
    import_torchvision()
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))
