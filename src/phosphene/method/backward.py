"""The backward pass: what of a gradient gets through activations, and through the branches of residual blocks.

The gradient of a rectified network is the gradient of the one linear piece that a sample happens to lie in. It says
nothing of units that are just not active, and most of what it says holds for that piece alone: the fine grain of a map.
Two changes of the backward pass, the network itself stays as it is:

- **leak**: an activation lets a share of the gradient through whatever its input, `(1 − a) f'(x) g + a g`. Units that
  the map has not reached yet are reached.
- **residual**: a branch of a residual block `x + r(x)` passes a share of the gradient, the block's input all of it.
  What many blocks agree on outweighs what one of them adds.

A leak through many activations adds up, so that in networks of more than `DEPTH` in a row each lets less through.

Both were found for adversarial examples that other networks fall for as well. Sources: Y. Guo, Q. Li, H. Chen,
"Backpropagating linearly improves transferability of adversarial examples", NeurIPS 2020; D. Wu, Y. Wang, S. Xia,
J. Bailey, X. Ma, "Skip connections matter: on the transferability of adversarial examples generated with ResNets",
ICLR 2020.

The changes are made on the nodes that autograd recorded, so they are the same for a module, a program and an ONNX file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

Gradients = tuple[Tensor | None, ...]
Node = Any  # torch.autograd.graph.Node, whose stubs lack next_functions

# Activations that pass large inputs as they are; gates such as a sigmoid are none.
ACTIVATIONS = frozenset(
    f"{kind}Backward0"
    for kind in (
        *("Relu", "Hardtanh", "LeakyRelu", "Threshold", "ClampMin", "PreluKernel", "Elu"),
        *("Silu", "Gelu", "Hardswish", "Mish", "Softplus"),
    )
) | {"ClampBackward1"}
DEPTH = 36  # activations in a row; the leak was found on networks of 7 to 33
SHAPES = frozenset(
    f"{kind}Backward0" for kind in ("View", "UnsafeView", "ReshapeAlias", "Permute", "Transpose", "Clone", "Alias")
)


def change_backward(outputs: Tensor, images: Tensor, leak: float, residual: float) -> list[RemovableHandle]:
    """Have the gradient of `outputs` by `images` leak through activations by `leak` in [0,1], and pass the branches of
    residual blocks by `residual` in [0,1]; 0 and 1 leave it as it is.

    Holds for the recorded pass alone, from `outputs` back to `images`. Whoever differentiates its gradient once more
    goes through the same nodes again, and removes the hooks that are returned before.
    """
    if leak == 0 and residual == 1:
        return []
    hooks = []
    nodes = list(_list_nodes(outputs.grad_fn, images.grad_fn))
    share = leak * min(1.0, (DEPTH / max(1, _count_in_a_row(nodes))) ** 0.5)
    for node in nodes:
        if node.name() in ACTIVATIONS and leak:
            hooks.append(node.register_hook(partial(_leak, share)))
        elif node.name() == "AddBackward0" and residual < 1:
            branch = _find_branch(node)
            if branch is not None:
                hooks.append(node.register_hook(partial(_weaken, branch, residual)))
    return hooks


def _leak(share: float, passed: Gradients, arrived: Gradients) -> Gradients:
    """A share of what arrived at an activation in place of the same share of what passed it."""
    (inside, *rest), outside = passed, arrived[0]
    if inside is None or outside is None or inside.shape != outside.shape:
        return passed
    return (torch.lerp(inside, outside, share), *rest)


def _weaken(position: int, share: float, passed: Gradients, arrived: Gradients) -> Gradients:
    return tuple(one * share if place == position and one is not None else one for place, one in enumerate(passed))


def _list_nodes(last: Node, first: Node) -> Iterator[Node]:
    """All nodes from the last of a pass back to its first, which is left out."""
    seen, waiting = {None, first}, [last]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            yield node
            waiting += _parents(node)


def _count_in_a_row(nodes: Sequence[Node]) -> int:
    """The most activations on one way through the network, however many images and calls were recorded."""
    deepest: dict[Node, int] = {}
    for node in sorted(nodes, key=lambda one: one._sequence_nr()):
        before = max((deepest.get(parent, 0) for parent in _parents(node)), default=0)
        deepest[node] = before + (node.name() in ACTIVATIONS)
    return max(deepest.values(), default=0)


def _parents(node: Node) -> list[Node]:
    return [parent for parent, _ in node.next_functions]


def _find_branch(addition: Node) -> int | None:
    """Which of two summands is computed from the other; None where neither is, as of a block that changes the size."""
    summands = _parents(addition)
    if len(summands) != 2 or None in summands:
        return None
    inputs = [_skip_shapes(one) for one in summands]
    return next((place for place in (0, 1) if _descends(summands[place], inputs[1 - place])), None)


def _skip_shapes(node: Node) -> Node:
    while node is not None and node.name() in SHAPES:
        (node,) = _parents(node)[:1]
    return node


def _descends(node: Node, ancestor: Node) -> bool:
    """Whether a node was computed from another one: nodes older than the ancestor are not searched."""
    if ancestor is None or node is ancestor:
        return False
    age, seen, waiting = ancestor._sequence_nr(), {None}, [node]
    while waiting:
        one = waiting.pop()
        if one is ancestor:
            return True
        if one not in seen and one._sequence_nr() > age:
            seen.add(one)
            waiting += _parents(one)
    return False
