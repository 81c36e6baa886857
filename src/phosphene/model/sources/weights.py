"""Weights files, which never run code, and how they are put into a module."""

from __future__ import annotations

import pickle
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from phosphene.errors import BadWeights, UnsafeWeights
from phosphene.model.sources.declared import check_torch_file

State = dict[str, Tensor]
NESTING = 3  # envelopes in envelopes that are looked into


def read_weights(path: str | Path, *, trust_pickle: bool = False) -> State:
    """The state dict in a safetensors or torch file, which is never allowed to run code unless `trust_pickle`; of
    several in one file the first."""
    return next(iter(read_states(path, trust_pickle=trust_pickle).values()))


def read_states(path: str | Path, *, trust_pickle: bool = False) -> dict[str, State]:
    """Every state dict in a file, by the key that it lies under; "" is the file itself."""
    path = Path(path)
    if not path.is_file():
        raise BadWeights(f"no weights file at {str(path)!r}; expected a .safetensors file or a torch state dict")
    return find_states(read_content(path, trust_pickle=trust_pickle), str(path))


def read_content(path: Path, *, trust_pickle: bool = False) -> object:
    """What a safetensors or torch file holds. Raises `UnsafeWeights` or `BadWeights`."""
    try:
        if path.suffix == ".safetensors" or is_safetensors(path):
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles of other times; what cannot be read is refused below
            check_torch_file(path, trust_pickle=trust_pickle)
            return torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except BadWeights:
        raise
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):  # bytes that are no pickle at all
            raise BadWeights(
                f"cannot read {str(path)!r}: no weights file; expected safetensors or a torch state dict"
            ) from error
        raise UnsafeWeights(
            f"{str(path)!r} is a pickle that holds more than plain tensors, and loading could run its author's code; "
            f"save its state_dict() as safetensors, or pass --trust-pickle if you trust the author"
        ) from error
    except (Exception, SystemExit) as error:  # whatever a parser, or a trusted pickle, throws
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadWeights(f"cannot read {str(path)!r}: {reason}; expected safetensors or a torch state dict") from error


def is_safetensors(path: Path) -> bool:
    """Whether the file begins with the length of a JSON header and a brace, whatever its name ends in."""
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8


def find_states(content: object, where: str) -> dict[str, State]:
    """Every mapping of names to tensors in what a file holds, by the keys that lead to it."""
    states = dict(_walk(content, ()))
    if not states:
        raise BadWeights(f"{where!r} holds no state dict of tensors; expected what `model.state_dict()` returns")
    return states


def _walk(content: object, keys: tuple[str, ...]) -> Iterator[tuple[str, State]]:
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping) or not content or len(keys) > NESTING:
        return
    if all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()):
        _check_plain(content)
        yield ".".join(keys), dict(content)
        return
    for name, value in content.items():
        if isinstance(name, str):  # an optimizer's state is counted, not named
            yield from _walk(value, (*keys, name))


def _check_plain(state: Mapping[str, Tensor]) -> None:
    if odd := [name for name, tensor in state.items() if not _is_plain(tensor)]:
        raise BadWeights(
            f"the file holds tensors without plain numbers in memory ({odd[0]}: meta, sparse, quantised or nested); "
            f"expected dense ones, as `model.state_dict()` of a float model returns"
        )


def _is_plain(tensor: Tensor) -> bool:
    """Whether it is a dense tensor with numbers of its own; others fail in a hundred ways later."""
    plain = type(tensor) in (Tensor, nn.Parameter)
    return plain and not (tensor.is_meta or tensor.is_quantized or tensor.is_nested) and tensor.layout == torch.strided


def fill(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Put a state dict into a module. Raises `BadWeights` where names, shapes or types do not fit."""
    current = module.state_dict()
    needed, given = without_counters(current), without_counters(state)
    problems = {
        "lacks": needed.keys() - given.keys(),
        "has unknown": given.keys() - needed.keys(),
        "has the wrong shape of": _wrong_shapes(needed, given),
        "has the wrong type of": _wrong_types(needed, given),
    }
    for problem, names in problems.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise BadWeights(
                f"{where!r} does not fit the architecture: it {problem} {', '.join(sorted(names)[:3])}{more}"
            )
    filling = OrderedDict(given)
    # The versions of the layers whose names and shapes these are: without them mnasnet rebuilds itself as of old.
    filling._metadata = getattr(current, "_metadata", {})  # type: ignore[attr-defined]
    module.load_state_dict(filling, strict=False)


def _wrong_shapes(needed: State, given: State) -> set[str]:
    shapes = {name: (tuple(theirs.shape), tuple(ours.shape)) for name, theirs, ours in _list_pairs(needed, given)}
    return {f"{name} {theirs} for {ours}" for name, (theirs, ours) in shapes.items() if theirs != ours}


def _wrong_types(needed: State, given: State) -> set[str]:
    """Tensors that copying would change without a word: complex to real, integers to fractions, or no plain numbers."""
    kinds = {name: (_kind(theirs), _kind(ours)) for name, theirs, ours in _list_pairs(needed, given)}
    return {f"{name} ({theirs} for {ours})" for name, (theirs, ours) in kinds.items() if theirs != ours}


def _list_pairs(needed: State, given: State) -> list[tuple[str, Tensor, Tensor]]:
    """Name, tensor of the file and tensor of the module; parameters of lazy layers take any."""
    return [(name, given[name], needed[name]) for name in needed.keys() & given.keys() if not is_lazy(needed[name])]


def _kind(tensor: object) -> str:
    if not isinstance(tensor, Tensor):
        return type(tensor).__name__
    if tensor.is_quantized or tensor.layout != torch.strided or tensor.is_meta:
        return "no plain tensor"
    if tensor.is_complex():
        return "complex"
    return "fractions" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")


def without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state without the batch counters of batch norms, which older files lack and nothing uses."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
