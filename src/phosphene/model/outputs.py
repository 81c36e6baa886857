"""What the outputs of a model mean: which tensor they are, how they become logits, and how probable a concept is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.errors import BadInput
from phosphene.model.checks import CHECKS
from phosphene.recipe.concepts import Concept, layer_of, split_terms

ACTIVE = 3.09  # the 99.9th percentile of a normal distribution: one draw of noise in a thousand is above it
SMALLEST = 1e-12  # a probability of 0 has no logarithm


@dataclass(frozen=True)
class OutputKind:
    """How the numbers `(N, K)` that a module returns are read.

    `to_logits` makes logits of them. `exclusive` classes share one probability (softmax); of others each has its own
    (sigmoid), and several may be seen in one image.
    """

    name: str
    means: str
    to_logits: Callable[[Tensor], Tensor]
    exclusive: bool

    def probabilities(self, logits: Tensor) -> Tensor:
        """The probability of each class, `(N, K)` in [0,1]."""
        return logits.softmax(dim=1) if self.exclusive else logits.sigmoid()


def _keep(outputs: Tensor) -> Tensor:
    return outputs


def _split_binary(outputs: Tensor) -> Tensor:
    """`z` as the logits −z/2 and z/2: their softmax is the sigmoid of z, and each of them has a slope."""
    return torch.cat([-outputs / 2, outputs / 2], dim=1)


def _log(outputs: Tensor) -> Tensor:
    return outputs.clamp(min=SMALLEST).log()


def _logit(outputs: Tensor) -> Tensor:
    return torch.logit(outputs, eps=1e-6)


def _split_binary_probability(outputs: Tensor) -> Tensor:
    return _split_binary(_logit(outputs))


OUTPUTS: dict[str, OutputKind] = {
    kind.name: kind
    for kind in (
        OutputKind("softmax", "logits of classes that exclude each other", _keep, True),
        OutputKind("sigmoid", "logits of labels of which several may hold", _keep, False),
        OutputKind("probabilities", "probabilities that sum to 1, after a softmax", _log, True),
        OutputKind("label-probabilities", "a probability for each label, after a sigmoid", _logit, False),
        OutputKind("binary", "one logit for the second of two classes", _split_binary, True),
        OutputKind(
            "binary-probability", "one probability, of the second of two classes", _split_binary_probability, True
        ),
    )
}


def choose_kind(name: str) -> OutputKind:
    """The kind that the user names; raises `BadInput` with those that there are."""
    if name not in OUTPUTS:
        raise BadInput(f"no kind of outputs is called {name!r}; expected one of {', '.join(OUTPUTS)}")
    return OUTPUTS[name]


def guess_kind(outputs: Tensor, name: str) -> OutputKind:
    """The kind of the outputs `(N, K)` of probe images, where it is certain.

    Raises `FailedCheck` where it is not: a single number, or numbers in [0,1] that are no softmax's.
    """
    if outputs.shape[1] == 1:
        raise CHECKS["ambiguous-outputs"].failed(f"{name} gives one number an image")
    if (other := _recognize_other(outputs)) is not None:
        raise CHECKS["ambiguous-outputs"].failed(f"the outputs of {name} are {other}")
    if outputs.min() < 0 or outputs.max() > 1 or not outputs.isfinite().all():
        return OUTPUTS["softmax"]
    if torch.allclose(outputs.sum(dim=1), torch.ones(1, device=outputs.device), atol=1e-3):
        return OUTPUTS["probabilities"]
    raise CHECKS["ambiguous-outputs"].failed(f"all outputs of {name} for the probe images lie in [0,1]")


def _recognize_other(outputs: Tensor) -> str | None:
    """What outputs certainly are that are neither logits nor probabilities; None where that is not certain."""
    sums = outputs.sum(dim=1)
    if outputs.min() >= 0 and _are_alike(sums) and sums[0] > 1.01:
        return f"non-negative and all sum to {sums[0]:.4g}, as probabilities do that are counted to {sums[0]:.4g}"
    shares = (-outputs).exp()  # one that is all of the sum is no sign: any output of 0 beside large ones gives that
    if outputs.min() >= 0 and _are_alike(shares.sum(dim=1), 1.0) and shares.max() < 0.999:
        return "minus the logarithms of probabilities, of which the smallest is the strongest class"
    if _are_alike(outputs.norm(dim=1), 1.0):
        return "all of length 1, as those of an encoder without a head are: features, not classes"
    return None


def _are_alike(values: Tensor, value: float | None = None) -> bool:
    """Whether all values are the same, or all are `value`."""
    expected = values[0].item() if value is None else value
    return torch.allclose(values, torch.full_like(values, expected), rtol=1e-3, atol=0)


def find_tensor(output: object, which: str | None = None) -> Tensor:
    """The tensor among what models return: itself, `logits` of an object or mapping, the only one of a tuple, or the
    one that the user names with `which`, a key, an attribute or a place.

    Raises `FailedCheck` where there is none, or several and nothing says which; `BadInput` where `which` is not there.
    """
    if which is not None:
        output = _pick(output, which)
    elif isinstance(output, Mapping) and "logits" in output:
        output = output["logits"]
    elif hasattr(output, "logits"):
        output = output.logits
    elif isinstance(output, (tuple, list)) and len(output) == 1:
        (output,) = output
    if isinstance(output, (tuple, list, Mapping)) and len(output):
        places = ", ".join(map(str, output)) if isinstance(output, Mapping) else f"0 to {len(output) - 1}"
        raise CHECKS["wrong-output"].failed(
            f"the model returns a {type(output).__name__} and nothing says which of it are the logits; name it with "
            f"--output ({places})"
        )
    if not isinstance(output, Tensor):
        raise CHECKS["wrong-output"].failed(f"the model returns a {type(output).__name__}, not a tensor of logits")
    return output


def drop_places(outputs: Tensor) -> Tensor:
    """`(N, K)` from the `(N, K, 1, 1)` of a head that is a convolution; others as they are."""
    return outputs.flatten(1) if outputs.ndim > 2 and outputs[0, 0].numel() == 1 else outputs


def _pick(output: object, which: str) -> object:
    try:
        if isinstance(output, Mapping):
            return output[which]
        if isinstance(output, (tuple, list)):
            return output[int(which)]
        return getattr(output, which)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise BadInput(f"--output is {which!r}, which the model's {type(output).__name__} does not have") from error


def probability(logits: Tensor, concept: Concept, kind: OutputKind) -> Tensor:
    """Probability that the model gives to the concept's targets, `(samples,)` in [0,1].

    Of labels of which several may hold it is that of the surest of a set, and of a sum that of its least sure part:
    what is added must hold, what is subtracted must not. Channels have none; of them it is 1 where a target, of a sum
    one of each part that is added, is above what noise without a map gives, once in a thousand.
    """
    added, subtracted = split_terms(concept)
    if layer_of(concept) is not None:
        active = (logits > ACTIVE).float()
        return _of_all([active[:, list(term.targets)].amax(dim=1) for term in added])
    shares = kind.probabilities(logits)
    if kind.exclusive:
        return shares[:, list(concept.targets)].sum(dim=1)
    held = [shares[:, list(term.targets)].amax(dim=1) for term in added]
    return _of_all([*held, *(1 - shares[:, list(term.targets)].amax(dim=1) for term in subtracted)])


def _of_all(shares: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(shares)).amin(dim=0)


def is_top(logits: Tensor, concept: Concept, kind: OutputKind) -> Tensor:
    """Whether the model sees the concept, `(samples,)` of 0 and 1: a target is the strongest output or, of labels, more
    probable than not."""
    if layer_of(concept) is None and not kind.exclusive:
        return (probability(logits, concept, kind) > 0.5).float()
    return torch.isin(logits.argmax(dim=1), torch.tensor(concept.targets, device=logits.device)).float()


def count_classes(kind: OutputKind, numbers: Tensor, name: str) -> int:
    """How many classes the model `name` has, which gave these numbers for the probe images. Raises `BadInput` where
    they are not of that kind, `FailedCheck` where they are one number an image."""
    if kind.name.startswith("binary") and numbers.shape[1] != 1:
        raise BadInput(f"outputs are {kind.name}, and {name} gives {numbers.shape[1]} numbers; expected one")
    if kind.name.endswith(("probabilities", "probability")) and not 0 <= numbers.min() <= numbers.max() <= 1:
        raise BadInput(f"outputs are {kind.name}, and {name} gives {numbers.max():.3g}; expected 0 to 1")
    count = kind.to_logits(numbers).shape[1]
    if count < 2:
        raise CHECKS["wrong-output"].failed(f"{name} gives one number an image, not a row of them")
    return count
