"""The tensors of an ONNX file, whose sizes are checked against the bytes that are there before anything is made."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phosphene.errors import BadWeights

# TensorProto's number of a type → bytes of one number; those of less than a byte are not here
BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
HALF_BYTES = (21, 22)  # unsigned and signed 4 bits
EXTERNAL = 1  # TensorProto.DataLocation


def read_tensor(proto: Any, path: Path) -> Tensor:
    """The tensor of a `TensorProto` in the file `path`: floating numbers as float32, whole ones as they are.

    Raises `BadWeights` where size and bytes disagree, or where data lie outside of the model's folder.
    """
    from onnx import numpy_helper

    name, count = proto.name or "a constant", _count(proto, path)
    if proto.data_location == EXTERNAL:
        proto = _with_external_data(proto, path, count)
    elif proto.HasField("raw_data"):
        _check_length(proto, path, count, len(proto.raw_data))
    try:
        array = numpy_helper.to_array(proto)
    except Exception as error:  # numpy's and the package's own, of bytes of unknown origin
        raise BadWeights(f"{path.name}: cannot read the tensor {name!r}: {_first_line(error)}") from error
    return _to_torch(np.ascontiguousarray(array).reshape(tuple(proto.dims)))


def _count(proto: Any, path: Path) -> int:
    if proto.data_type not in BYTES and proto.data_type not in HALF_BYTES:
        raise BadWeights(
            f"{path.name}: the tensor {proto.name!r} has type {proto.data_type} of ONNX (text, complex or 8-bit "
            f"floating numbers, or none), which no classifier's weights have here"
        )
    if any(side < 0 for side in proto.dims):
        raise BadWeights(f"{path.name}: the tensor {proto.name!r} has sides {list(proto.dims)}; expected none below 0")
    return math.prod(proto.dims)


def _bytes_of(proto: Any, count: int) -> int:
    return (count + 1) // 2 if proto.data_type in HALF_BYTES else count * BYTES[proto.data_type]


def _check_length(proto: Any, path: Path, count: int, length: int) -> None:
    if length != (expected := _bytes_of(proto, count)):
        raise BadWeights(
            f"{path.name}: the tensor {proto.name!r} of sides {list(proto.dims)} has {length} bytes; expected "
            f"{expected}"
        )


def _with_external_data(proto: Any, path: Path, count: int) -> Any:
    """The same tensor with the bytes of the file that it names."""
    entries = {str(entry.key): str(entry.value) for entry in proto.external_data}
    file = find_external(path, entries.get("location", ""), proto.name)
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", _bytes_of(proto, count)))
    except ValueError:
        raise BadWeights(f"{path.name}: offset or length of the tensor {proto.name!r} is no number") from None
    _check_length(proto, path, count, length)
    if not 0 <= offset <= file.stat().st_size - length:
        raise BadWeights(
            f"{path.name}: the tensor {proto.name!r} needs bytes {offset} to {offset + length} of {file.name}, which "
            f"has {file.stat().st_size}; it may be cut short"
        )
    full = type(proto)(name=proto.name, data_type=proto.data_type, dims=proto.dims)
    with file.open("rb") as stream:
        stream.seek(offset)
        full.raw_data = stream.read(length)
    return full


def find_external(path: Path, location: str, name: str) -> Path:
    """The file beside the model that holds a tensor's data. Raises `BadWeights` where it lies anywhere else.

    A link is followed, as in the caches of model hubs, where model and data are links to one other folder.
    """
    folder, file = path.parent.resolve(), path.parent / location
    inside = not Path(location).is_absolute() and ".." not in Path(location).parts
    target = file.resolve()
    if not location or not inside or not any(target.is_relative_to(one) for one in (folder, path.resolve().parent)):
        raise BadWeights(
            f"{path.name}: the data of the tensor {name!r} would be read from {location!r}, outside of the model's "
            f"folder; this is refused"
        )
    if not target.is_file():
        raise BadWeights(
            f"{path.name}: the data of the tensor {name!r} are in {location!r}, which is not beside the model; copy it "
            f"there"
        )
    return target


def _to_torch(array: Any) -> Tensor:
    """Floating numbers of all sizes become float32: half sizes are slow or missing on a CPU; doubles are as slow."""
    if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32))
    if array.dtype.name in ("int4", "uint4"):
        return torch.from_numpy(array.astype(np.int8))
    if array.dtype == np.uint32 or array.dtype == np.uint64:
        return torch.from_numpy(array.astype(np.int64))
    return torch.from_numpy(array.copy())


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
