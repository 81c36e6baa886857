"""Directions in a layer from files, which are read as numbers and never run."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes

from phosphene.core.reading import TEXT_LIMIT, explain, read_file
from phosphene.errors import BadInput
from phosphene.recipe.concepts import Origin

LARGEST_FILE = 2**24  # bytes: a vector of more channels than any layer has


def read_direction(file: str) -> tuple[tuple[float, ...], Origin]:
    """The vector in a `.npy` file, or the only tensor of a `.safetensors` file, and where it comes from.

    Raises `BadInput` unless it is one row of finite numbers of which one at least is not 0.
    """
    path = Path(file)
    values = _read_vector(path)
    if not np.isfinite(values).all() or not values.any():
        raise BadInput(f"the direction {file!r} has numbers that are not finite, or zeros only; expected a direction")
    weights = normalize_direction(values)
    return weights, Origin(file, digest_direction(weights))


def normalize_direction(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, ...]:
    """The same direction with length 1, whatever the size of its numbers."""
    scaled = values / np.abs(values).max()
    return tuple((scaled / np.linalg.norm(scaled)).tolist())


def digest_direction(weights: tuple[float, ...]) -> str:
    """sha256 of the numbers, as 64-bit floats."""
    return hashlib.sha256(np.asarray(weights, dtype="<f8").tobytes()).hexdigest()


def _read_vector(path: Path) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    expected = "expected a .npy or .safetensors file with one number for each channel of the layer"
    try:
        if path.is_dir():
            raise BadInput(f"the direction {str(path)!r} is a folder; expected two: LAYER:@FOLDER vs @FOLDER")
        if path.stat().st_size > LARGEST_FILE:
            raise BadInput(f"the direction {str(path)!r} has {path.stat().st_size} bytes; {expected}")
        content = read_file(path, TEXT_LIMIT)
        is_array = path.suffix != ".safetensors"
        values = np.load(io.BytesIO(content), allow_pickle=False) if is_array else _read_safetensors(content, path)
    except (OSError, ValueError, EOFError, MemoryError, OverflowError, SyntaxError, SafetensorError) as error:
        raise BadInput(f"cannot read the direction {str(path)!r}: {explain(error)}; {expected}") from error
    if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise BadInput(f"the direction {str(path)!r} holds no numbers; {expected}")
    if values.size == 0 or values.squeeze().ndim > 1:
        raise BadInput(f"the direction {str(path)!r} has the shape {values.shape}; {expected}")
    return values.reshape(-1).astype(np.float64)


def _read_safetensors(content: bytes, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    tensors = tensors_from_bytes(content)
    if len(tensors) != 1:
        raise BadInput(f"{str(path)!r} holds {len(tensors)} tensors; expected one, the direction")
    (values,) = tensors.values()
    if not (values.is_floating_point() or values.dtype in (torch.int64, torch.int32)):
        raise BadInput(f"{str(path)!r} holds {values.dtype}; expected numbers")
    return values.double().numpy()
