"""Which nodes treat the rows of their input one by one, so that the images of a batch may stand there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from phosphene.model.sources.onnx_files.graph import Operation
from phosphene.model.sources.onnx_files.operators.call import to_ints
from phosphene.model.sources.onnx_files.operators.table import POINTWISE, REDUCTIONS, ROW_BY_ROW

Shapes = Mapping[str, tuple[int, ...]]


def leaves_rows(operation: Operation, dynamic: Sequence[str], shapes: Shapes, constants: Mapping[str, Tensor]) -> bool:
    """Whether no row of the outputs reads another row of the inputs. `dynamic` are the inputs that are no constants;
    the first side of each is its rows."""
    kind, rank = operation.kind, len(shapes[dynamic[0]])
    if kind in ROW_BY_ROW:
        return list(dynamic) == [operation.inputs[0]]
    if kind in POINTWISE:
        return _is_pointwise_by_row(operation, dynamic, shapes, rank)
    rule = RULES.get(kind)
    return rule is not None and rule(operation, dynamic, shapes, constants)


def _is_pointwise_by_row(operation: Operation, dynamic: Sequence[str], shapes: Shapes, rank: int) -> bool:
    """Every input has its rows at the same place, and no constant differs from row to row."""
    fixed = [shapes[name] for name in operation.inputs if name and name not in dynamic]
    return all(len(shapes[name]) == rank for name in dynamic) and all(
        len(shape) < rank or (len(shape) == rank and shape[0] == 1) for shape in fixed
    )


def _has_other_axis(
    operation: Operation, dynamic: Sequence[str], shapes: Shapes, constants: Mapping[str, Tensor]
) -> bool:
    """It works along one axis, or from it on, and that is not the first."""
    default = 1 if operation.kind == "Concat" or operation.version < 13 else -1
    axis = operation.attributes.get("axis", default)
    ranks = {len(shapes[name]) for name in operation.inputs if name in dynamic}
    return len(ranks) == 1 and axis % ranks.pop() != 0 and operation.inputs[0] == dynamic[0]


def _is_concat_of_rows(
    operation: Operation, dynamic: Sequence[str], shapes: Shapes, constants: Mapping[str, Tensor]
) -> bool:
    return len(dynamic) == len(operation.inputs) and _has_other_axis(operation, dynamic, shapes, constants)


def _keeps_first_side(
    operation: Operation, dynamic: Sequence[str], shapes: Shapes, constants: Mapping[str, Tensor]
) -> bool:
    return (operation.attributes.get("perm") or [1])[0] == 0


def _is_product_by_row(
    operation: Operation, dynamic: Sequence[str], shapes: Shapes, constants: Mapping[str, Tensor]
) -> bool:
    """Of two stacks of matrices of one rank, or of a stack by a constant matrix."""
    left, right = (shapes[name] for name in operation.inputs)
    if len(dynamic) == 2:
        return len(left) == len(right) > 2
    return dynamic[0] == operation.inputs[0] and len(left) > 2 and len(right) == 2


def _reduces_other_axes(
    operation: Operation, dynamic: Sequence[str], shapes: Shapes, constants: Mapping[str, Tensor]
) -> bool:
    given = operation.inputs[1] if len(operation.inputs) > 1 else ""
    axes = to_ints(constants.get(given)) or to_ints(operation.attributes.get("axes"))
    rank = len(shapes[dynamic[0]])
    return bool(axes) and len(dynamic) == 1 and all(axis % rank != 0 for axis in axes or ())


RULES: dict[str, Callable[[Operation, Sequence[str], Shapes, Mapping[str, Tensor]], bool]] = {
    "Concat": _is_concat_of_rows,
    "LayerNormalization": _has_other_axis,
    "LogSoftmax": _has_other_axis,
    "MatMul": _is_product_by_row,
    "Softmax": _has_other_axis,
    "Transpose": _keeps_first_side,
    **dict.fromkeys(REDUCTIONS, _reduces_other_axes),
}
