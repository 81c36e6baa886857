"""The model under study, made safe: images in [0,1] go in, logits come out, and nothing is left changed behind.

Everything risky about somebody's model is met here and in the modules beside: preprocessing, eval mode, gradients of
parameters, outputs that are no logits, hooks. `phosphene.model.checks` says what is refused and why.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from phosphene.core.cache import Cache
from phosphene.core.hooks import ForwardHook, forward_hooks, is_hookable
from phosphene.core.images import ImageShape
from phosphene.errors import BadInput, FailedCheck
from phosphene.model.batching import default_batch_size, run_in_batches
from phosphene.model.checks import CHECKS
from phosphene.model.fingerprint import describe_behavior, fingerprint
from phosphene.model.folding import fold_batch_norms
from phosphene.model.freezing import frozen
from phosphene.model.input_format import InputFormat
from phosphene.model.outputs import OUTPUTS, OutputKind, choose_kind, find_tensor, guess_kind
from phosphene.model.probe import probe, probe_images
from phosphene.model.reference import ModelReference

_RAW = OUTPUTS["softmax"]  # while a module is probed: its numbers as they are
FOLDING_TOLERANCE = 1e-4  # largest change of a logit that folding may cause


class Classifier:
    """`classifier(images)`: images `(N, C, H, W)` in [0,1] → float32 logits `(N, K)`; normalisation happens inside.

    `labels[k]` holds the names of class k, separated by commas; without labels the classes are called by their index.
    `outputs` says what the module returns, a key of `OUTPUTS`; without it that is guessed, where it is certain.
    `output` names the tensor among several that the module returns, by key, attribute or place.
    An immutable value: `replace` makes another one. The module is a guest, in eval mode and frozen inside a call and
    as it was afterwards. Raises `FailedCheck` where it does not behave as a classifier must.
    """

    module: nn.Module
    format: InputFormat
    name: str
    labels: tuple[str, ...]
    fingerprint: str  # of the weights as they were given
    behavior: tuple[float, ...]  # what the module computes for a few images of noise, in short
    batch_size: int  # images that go through the module at once
    pad_batches: bool  # fill the last batch, so that results are bit-identical whatever the number of images
    channels_last: bool  # how images lie in memory when the module receives them
    output: str | None  # which tensor, where the module returns several
    output_kind: OutputKind  # how its numbers become logits and probabilities
    checks: tuple[str, ...]  # names of the checks that were raised and are not fatal
    reference: ModelReference | None  # how another process opens it
    cache: Cache  # of what was measured on this classifier

    def __init__(
        self,
        module: nn.Module,
        input_format: InputFormat,
        *,
        name: str = "model",
        labels: Sequence[str] | None = None,
        outputs: str | None = None,
        output: str | None = None,
        reference: ModelReference | None = None,
    ) -> None:
        self.__dict__.update(module=module, format=input_format, name=name, reference=reference, checks=())
        self.__dict__.update(fingerprint=fingerprint(module.state_dict()), cache=Cache(), pad_batches=True)
        self.__dict__.update(batch_size=default_batch_size(_device_of(module), input_format.size), channels_last=True)
        self.__dict__.update(output_kind=_RAW, output=output)
        numbers = self._probe_layouts()
        self.__dict__["behavior"] = describe_behavior(numbers)
        kind = guess_kind(numbers, name) if outputs is None else choose_kind(outputs)
        guessed = ("probabilities",) if kind.name == "probabilities" and outputs is None else ()
        self.__dict__.update(output_kind=kind, checks=(*self.checks, *guessed))
        count = self._count_outputs(numbers)
        self.__dict__["labels"] = tuple(labels) if labels is not None else tuple(str(k) for k in range(count))
        if not any(map(is_hookable, module.modules())):
            self.__dict__["checks"] = (*self.checks, "no-layers")
        if len(self.labels) != count:
            raise CHECKS["labels-mismatch"].failed(f"{name} has {count} outputs but {len(self.labels)} labels")

    def _count_outputs(self, numbers: Tensor) -> int:
        kind = self.output_kind
        if kind.name.startswith("binary") and numbers.shape[1] != 1:
            raise BadInput(f"outputs are {kind.name}, and {self.name} gives {numbers.shape[1]} numbers; expected one")
        if kind.name.endswith(("probabilities", "probability")) and not 0 <= numbers.min() <= numbers.max() <= 1:
            raise BadInput(f"outputs are {kind.name}, and {self.name} gives {numbers.max():.3g}; expected 0 to 1")
        count = kind.to_logits(numbers).shape[1]
        if count < 2:
            raise CHECKS["wrong-output"].failed(f"{self.name} gives one number an image, not a row of them")
        return count

    def _probe_layouts(self) -> Tensor:
        """The outputs of the probe images, in the fast layout or, where the module refuses it, in the usual one."""
        try:
            return probe(self, self.image_shape, self.name)
        except FailedCheck as refusal:
            if refusal.check != "wrong-input":
                raise
            self.__dict__.update(channels_last=False, checks=("not-channels-last",))
            with contextlib.suppress(FailedCheck):
                return probe(self, self.image_shape, self.name)
            raise

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"a Classifier is immutable; use replace({name}=...)")

    def replace(self, **changes: Any) -> Classifier:
        """The same classifier with other values of some attributes, and a cache of its own.

        What its reference would not lead to has none any more.
        """
        if unknown := changes.keys() - Classifier.__annotations__.keys():
            raise TypeError(f"a Classifier has no {', '.join(sorted(unknown))}")
        if changes.keys() & {"module", "format", "name", "labels"}:
            changes = {"reference": None, **changes}
        other = copy.copy(self)
        other.__dict__.update(changes, cache=Cache())
        return other

    @property
    def device(self) -> torch.device:
        return _device_of(self.module)

    @property
    def image_shape(self) -> ImageShape:
        return (self.format.channels, *self.format.size)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits `(N, K)`, on the device of the images, whichever the module is on."""
        with frozen(self.module):
            logits = run_in_batches(self._forward, images.to(self.device), self.batch_size, self.pad_batches)
        return logits.to(images.device)

    def normalize(self, images: Tensor) -> Tensor:
        """Images in [0,1] as the module wants them."""
        mean, std = (
            torch.tensor(values, device=images.device).view(1, -1, 1, 1)
            for values in (self.format.mean, self.format.std)
        )
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        normalized = (images.contiguous(memory_format=layout) - mean) / std
        return normalized.to(_dtype_of(self.module))

    def _forward(self, images: Tensor) -> Tensor:
        """Logits of one batch."""
        logits = find_tensor(self.module(self.normalize(images)), self.output)
        logits = logits[:, None] if logits.ndim == 1 else logits
        if logits.ndim != 2 or logits.shape[0] != images.shape[0]:
            raise CHECKS["wrong-output"].failed(
                f"{self.name} gives outputs of shape {tuple(logits.shape)} for {images.shape[0]} images"
            )
        return self.output_kind.to_logits(logits.float())

    def fold(self) -> Classifier:
        """A private copy with batch norms folded and weights channels-last: the same logits within 1e-4, faster.

        The fingerprint stays that of the weights as they were given. Where the module does not take folding, or a logit
        moves too far, the copy stays unfolded and says so in its `checks`.
        """
        try:
            faster = self._fold()
        except Exception:  # scripted, parametrised and other modules refuse surgery in their own ways
            faster = None
        if faster is None:
            faster = self.replace(
                module=_copy(self.module), reference=self.reference, checks=(*self.checks, "not-folded")
            )
        return faster._lay_channels_last() if self.channels_last else faster

    def _lay_channels_last(self) -> Classifier:
        """This private copy with its weights channels-last, or in the usual layout where it refuses them.

        A convolution's output lies as its weights do, so a module that took the images may still refuse this.
        """
        self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        try:
            with torch.no_grad():
                self(probe_images(self.image_shape, count=2))
        except Exception:  # the user's own module may raise anything
            self.module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            return self.replace(
                module=self.module,
                reference=self.reference,
                channels_last=False,
                checks=(*self.checks, "not-channels-last"),
            )
        return self

    def _fold(self) -> Classifier | None:
        """A folded copy; None where folding moves a logit too far."""
        images = probe_images(self.image_shape, count=2)
        faster = self.replace(module=copy.deepcopy(self.module), reference=self.reference)
        with frozen(faster.module), torch.no_grad():
            fold_batch_norms(faster.module, self.normalize(images[:1].to(self.device)))
        with torch.no_grad():
            same = torch.allclose(faster(images), self(images), rtol=0, atol=FOLDING_TOLERANCE)
        return faster if same else None

    def resize(self, size: tuple[int, int]) -> Classifier:
        """The same network on images of another size. Raises `FailedCheck` where it does not take them."""
        other = self.replace(format=dataclasses.replace(self.format, size=size))
        if (count := probe(other, other.image_shape, other.name).shape[1]) != len(self.labels):
            raise CHECKS["wrong-input"].failed(
                f"{self.name} gives {count} outputs for images of {size}, {len(self.labels)} for those of "
                f"{self.format.size}"
            )
        return other

    def observe_layers(self, images: Tensor, summarize: Callable[[Tensor], Tensor | None]) -> dict[str, Tensor]:
        """`summarize` of each layer's output, by layer name in the order of computing; None is left out."""
        summaries: dict[str, list[Tensor]] = {}

        def observer(name: str) -> ForwardHook:
            def observe(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
                summary = summarize(output) if isinstance(output, Tensor) else None
                if summary is not None:
                    summaries.setdefault(name, []).append(summary)

            return observe

        layers = [
            (module, observer(name)) for name, module in self.module.named_modules() if name and is_hookable(module)
        ]
        with forward_hooks(layers), torch.no_grad():
            self(images)
        return {name: torch.cat(batches)[: images.shape[0]] for name, batches in summaries.items()}

    def forward_with_layers(self, images: Tensor, layers: Collection[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits, and what the named layers gave, as parts of one graph; a layer that never ran is missing.

        Of a folded classifier a convolution gives what the batch norm behind it gave.
        """
        outputs: dict[str, Tensor] = {}

        def keeper(name: str) -> ForwardHook:
            def keep(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
                if isinstance(output, Tensor):
                    outputs[name] = output[: images.shape[0]].clone()  # an in-place layer behind must not change it

            return keep

        with forward_hooks((self.module.get_submodule(name), keeper(name)) for name in layers):
            return self(images), outputs


def _copy(module: nn.Module) -> nn.Module:
    """A copy or, of a module that cannot be copied, the module itself: a call leaves it as it was."""
    try:
        return copy.deepcopy(module)
    except Exception:  # non-leaf tensors, locks and handles refuse to be copied in their own ways
        return module


def _dtype_of(module: nn.Module) -> torch.dtype:
    """Of the first floating-point parameter: images must have the type of the weights."""
    return next((one.dtype for one in module.parameters() if one.is_floating_point()), torch.float32)


def _device_of(module: nn.Module) -> torch.device:
    return next(module.parameters(), torch.zeros(())).device
