"""Files of torch.save: a whole module, which only a trusted pickle can hold, or tensors alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import nn

from phosphene.errors import BadInput
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.archive import list_entries
from phosphene.model.sources.factory import EVERYTHING
from phosphene.model.sources.libraries import with_torchvision
from phosphene.model.sources.source import Source
from phosphene.model.sources.state_alone import refuse_states
from phosphene.model.sources.weights import find_states, read_content


def is_torch_file(path: Path) -> bool:
    """Whether the file is a zip archive of torch's, or begins as a pickle does."""
    with path.open("rb") as file:
        return file.read(1) == b"\x80" or "data.pkl" in list_entries(path)


def pickled_source(path: Path, trusted: bool) -> Source:
    """The record of the module in a file that the user trusts; its classes are imported as the factory's would be."""
    content = with_torchvision(lambda: read_content(path, trust_pickle=trusted))
    modules = dict(_find_modules(content))
    if not modules:
        refuse_states(find_states(content, str(path)), str(path))
    if len(modules) > 1:
        raise BadInput(
            f"{str(path)!r} holds several modules ({', '.join(modules)}); save the one that you mean in a file of its "
            "own"
        )
    (module,) = modules.values()
    return Source(
        name=f"file:{path.name}",
        build=None,
        weights=None,
        pretrained=lambda: module,
        format=InputFormat((1, 1)),
        labels=None,
        unknown=EVERYTHING,
    )


def _find_modules(content: object) -> Iterator[tuple[str, nn.Module]]:
    """The modules of an envelope by their key; a loss or a metric that lies beside them has no parameters."""
    if isinstance(content, nn.Module):
        yield "the file", content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(value, nn.Module) and any(True for _ in value.parameters()):
                yield str(key), value
