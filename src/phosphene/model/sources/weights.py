"""Weights files, which never run code, and how they are put into a module."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from phosphene.errors import BadWeights, UnsafeWeights
from phosphene.model.sources.declared import check_torch_file


def read_weights(path: str | Path, *, trust_pickle: bool = False) -> dict[str, Tensor]:
    """The state dict in a safetensors or torch file, which is never allowed to run code unless `trust_pickle`."""
    path = Path(path)
    if not path.is_file():
        raise BadWeights(f"no weights file at {str(path)!r}; expected a .safetensors file or a torch state dict")
    try:
        if path.suffix == ".safetensors":
            return _find_state_dict(load_file(path), path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles of other times; what cannot be read is refused below
            check_torch_file(path, trust_pickle=trust_pickle)
            content = torch.load(path, map_location="cpu", weights_only=not trust_pickle)
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
    return _find_state_dict(content, path)


def _find_state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors by name, unwrapped from the usual envelopes of training scripts."""
    for envelope in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(envelope), Mapping):
            content = content[envelope]
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise BadWeights(f"{str(path)!r} holds no state dict of tensors; expected what `model.state_dict()` returns")
    if odd := [str(name) for name, tensor in content.items() if not _is_plain(tensor)]:
        raise BadWeights(
            f"{str(path)!r} holds tensors without plain numbers in memory ({odd[0]}: meta, sparse, quantised or "
            f"nested); expected dense ones, as `model.state_dict()` of a float model returns"
        )
    return {re.sub(r"^(module\.|_orig_mod\.)+", "", str(name)): tensor for name, tensor in content.items()}


def _is_plain(tensor: Tensor) -> bool:
    """Whether it is a dense tensor with numbers of its own; others fail in a hundred ways later."""
    plain = type(tensor) in (Tensor, nn.Parameter)
    return plain and not (tensor.is_meta or tensor.is_quantized or tensor.is_nested) and tensor.layout == torch.strided


def fill(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Put a state dict into a module. Raises `BadWeights` where names or shapes do not fit."""
    needed, given = without_counters(module.state_dict()), without_counters(state)
    problems = {
        "lacks": needed.keys() - given.keys(),
        "has unknown": given.keys() - needed.keys(),
        "has the wrong shape of": _wrong_shapes(needed, given),
    }
    for problem, names in problems.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise BadWeights(
                f"{where!r} does not fit the architecture: it {problem} {', '.join(sorted(names)[:3])}{more}"
            )
    module.load_state_dict(dict(given), strict=False)


def _wrong_shapes(needed: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> set[str]:
    shapes = {name: (tuple(given[name].shape), tuple(needed[name].shape)) for name in needed.keys() & given.keys()}
    return {f"{name} {theirs} for {ours}" for name, (theirs, ours) in shapes.items() if theirs != ours}


def without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state without the batch counters of batch norms, which older files lack and nothing uses."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
