"""The model under study, made safe: images in [0,1] go in, logits come out, and nothing is left changed behind.

Everything risky about somebody's model is met here: preprocessing, eval mode, gradients of parameters, outputs that
are no logits, hooks. `phosphene.checks` says what is refused and why.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from phosphene.checks import CHECKS
from phosphene.errors import BadInput
from phosphene.folding import fold_batch_norms
from phosphene.geometry import ImageShape

FOLDING_TOLERANCE = 1e-4  # largest change of a logit that folding may cause


@dataclass(frozen=True)
class InputFormat:
    """What the network wants to be fed: from the weights' own record or from the user, never from a guess."""

    size: tuple[int, int]
    channels: int = 3
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise BadInput(
                    f"{name} has {len(values)} values for {self.channels} channels; give 1 or {self.channels}"
                )
        if min(self.size) < 1 or self.channels < 1:
            raise BadInput(f"size {self.size} with {self.channels} channels; expected positive numbers")
        if min(self.std) <= 0:
            raise BadInput(f"std {self.std}; expected positive numbers")


class Classifier:
    """`classifier(images)`: images `(N, C, H, W)` in [0,1] → float32 logits `(N, K)`; normalisation happens inside.

    `labels[k]` holds the names of class k, separated by commas; without labels the classes are called by their index.
    Raises `FailedCheck` where the module does not behave as a classifier must.
    """

    def __init__(
        self, module: nn.Module, input_format: InputFormat, *, name: str = "model", labels: Sequence[str] | None = None
    ) -> None:
        self.module, self.format, self.name = module, input_format, name
        self.checks: tuple[str, ...] = ()
        parameter = next(module.parameters(), torch.zeros(()))
        self.device = parameter.device
        self.rows_a_pass = rows_a_pass(self.device, input_format.size)
        self.filled = True  # a pass always has `rows_a_pass` images; off where no bit of a map hangs on it
        self._mean = torch.tensor(input_format.mean, device=self.device).view(1, -1, 1, 1)
        self._std = torch.tensor(input_format.std, device=self.device).view(1, -1, 1, 1)
        self.fingerprint = fingerprint(module.state_dict())
        outputs = self._probe()
        self.labels = tuple(labels) if labels is not None else tuple(str(k) for k in range(outputs))
        if len(self.labels) != outputs:
            raise CHECKS["labels-mismatch"].failed(f"{name} has {outputs} outputs but {len(self.labels)} labels")

    @property
    def image_shape(self) -> ImageShape:
        return (self.format.channels, *self.format.size)

    def __call__(self, images: Tensor) -> Tensor:
        if self.module.training:
            with self.frozen():
                return self(images)
        images = images.to(self.device)
        return torch.cat([self._pass(rows) for rows in images.split(self.rows_a_pass)])

    def _pass(self, images: Tensor) -> Tensor:
        """Logits of at most `rows_a_pass` images; missing rows are filled with the first image and dropped again."""
        count, missing = images.shape[0], self.rows_a_pass - images.shape[0]
        if missing and self.filled:
            images = torch.cat([images, images[:1].expand(missing, -1, -1, -1)])
        normalised = (images.contiguous(memory_format=torch.channels_last) - self._mean) / self._std
        logits = _logits(self.module(normalised))
        if logits.ndim != 2 or logits.shape[0] != images.shape[0]:
            raise CHECKS["wrong-output"].failed(
                f"{self.name} gives outputs of shape {tuple(logits.shape)} for {images.shape[0]} images"
            )
        return logits.float()[:count]

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Eval mode and constant parameters inside; every flag as it was outside, whatever happens."""
        training = [(submodule, submodule.training) for submodule in self.module.modules()]
        trainable = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        try:
            self.module.eval()
            for parameter in trainable:
                parameter.requires_grad_(False)
            yield
        finally:
            for submodule, flag in training:
                submodule.training = flag
            for parameter in trainable:
                parameter.requires_grad_(True)

    def folded(self) -> Classifier:
        """A private copy with batch norms folded and weights channels-last: the same logits within 1e-4, faster.

        The fingerprint stays that of the weights as they were given. Where folding moves a logit too far, the copy
        stays unfolded and says so in its `checks`.
        """
        faster = copy.copy(self)
        images = _probe_images(self.image_shape, count=2)
        with self.frozen(), torch.no_grad():
            expected = self(images)
            faster.module = copy.deepcopy(self.module)
            fold_batch_norms(faster.module, (images[:1].to(self.device) - self._mean) / self._std)
            if not torch.allclose(faster(images), expected, rtol=0, atol=FOLDING_TOLERANCE):
                faster.module, faster.checks = copy.deepcopy(self.module), (*self.checks, "not-folded")
        faster.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return faster

    def at_size(self, size: tuple[int, int]) -> Classifier:
        """The same network on images of another size. Raises `FailedCheck` where it does not take them."""
        other = copy.copy(self)
        other.format = replace(self.format, size=size)
        if (outputs := other._probe()) != len(self.labels):
            raise CHECKS["wrong-input"].failed(f"{self.name} gives {outputs} outputs for images of {size}, "
                                               f"{len(self.labels)} for those of {self.format.size}")  # fmt: skip
        return other

    def with_rows(self, rows: int) -> Classifier:
        """The same network with at most `rows` images a pass: for one map alone, which would leave the others empty."""
        other = copy.copy(self)
        other.rows_a_pass = min(rows, self.rows_a_pass)
        return other

    def observed(self, images: Tensor, summary: Callable[[Tensor], Tensor | None]) -> dict[str, Tensor]:
        """What `summary` makes of each layer's output, by layer name in the order of computing; None is left out."""
        found: dict[str, list[Tensor]] = {}

        def observer(name: str) -> Callable[..., None]:
            def observe(module: nn.Module, inputs: object, output: object) -> None:
                summarised = summary(output) if isinstance(output, Tensor) else None
                if summarised is not None:
                    found.setdefault(name, []).append(summarised)

            return observe

        hooks = [module.register_forward_hook(observer(name)) for name, module in self.module.named_modules() if name]
        try:
            with self.frozen(), torch.no_grad():
                self(images)
        finally:
            for hook in hooks:
                hook.remove()
        return {name: torch.cat(seen)[: images.shape[0]] for name, seen in found.items()}

    def with_layers(self, images: Tensor, layers: Collection[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits, and what the named layers gave, as parts of one graph; a layer that never ran is missing."""
        found: dict[str, Tensor] = {}

        def keeper(name: str) -> Callable[..., None]:
            def keep(module: nn.Module, inputs: object, output: object) -> None:
                if isinstance(output, Tensor):
                    found[name] = output[: images.shape[0]]

            return keep

        hooks = [self.module.get_submodule(name).register_forward_hook(keeper(name)) for name in layers]
        try:
            return self(images), found
        finally:
            for hook in hooks:
                hook.remove()

    def _probe(self) -> int:
        """Check the outputs on a few images of noise; returns how many outputs there are."""
        images = _probe_images(self.image_shape, count=3).requires_grad_()
        with self.frozen(), torch.enable_grad():
            try:
                logits = self(images)
            except (RuntimeError, ValueError, AssertionError) as error:
                reason = str(error).strip().splitlines()[0]
                raise CHECKS["wrong-input"].failed(
                    f"{self.name} refuses images of shape {self.image_shape}: {reason}"
                ) from error
            self._check_outputs(logits.detach())
            with torch.no_grad():
                again = self(images)
            if not torch.allclose(logits.detach(), again, rtol=1e-4, atol=1e-5, equal_nan=True):
                raise CHECKS["random-outputs"].failed(f"two calls of {self.name} on the same images differ")
            slope = torch.autograd.grad(logits.square().sum(), images)[0] if logits.requires_grad else torch.zeros(1)
        if not slope.any():
            raise CHECKS["zero-gradient"].failed(f"no pixel changes any output of {self.name}")
        return logits.shape[1]

    def _check_outputs(self, logits: Tensor) -> None:
        if logits.shape[1] < 2:
            raise CHECKS["wrong-output"].failed(
                f"{self.name} gives {logits.shape[1]} number an image, not a row of them"
            )
        if not logits.isfinite().all():
            raise CHECKS["not-finite"].failed(f"{self.name} gives NaN or infinite outputs")
        if (logits >= 0).all() and torch.allclose(logits.sum(dim=1), torch.ones(3, device=logits.device), atol=1e-3):
            raise CHECKS["probabilities"].failed(f"{self.name} gives rows that sum to 1: probabilities, not logits")


def rows_a_pass(device: torch.device, size: tuple[int, int]) -> int:
    """Images that go through a module at once: always as many, for a map must not depend on its company.

    Kernels of different batch sizes sum in different orders, and the estimate amplifies the last bit of a gradient to
    another picture. On a CPU 4 images of 224 px are the fastest batch; 8 and more no longer fit into its caches.
    """
    if device.type != "cpu":
        return 32
    return min(32, max(4, 200_000 // (size[0] * size[1])))


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes of the weights, in order of name."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def _probe_images(shape: ImageShape, count: int) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def _logits(output: object) -> Tensor:
    """Logits from what models return: a tensor, an object or mapping with `logits`, a tuple that starts with them."""
    if isinstance(output, Mapping) and "logits" in output:
        output = output["logits"]
    elif hasattr(output, "logits"):
        output = output.logits
    elif isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise CHECKS["wrong-output"].failed(f"the model returns a {type(output).__name__}, not a tensor of logits")
    return output
