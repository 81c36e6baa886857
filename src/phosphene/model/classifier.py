"""The model under study, made safe: images in [0,1] go in, logits come out, and nothing is left changed behind.

Everything risky about somebody's model is met here and in the modules beside: preprocessing, eval mode, gradients of
parameters, outputs that are no logits, hooks. `phosphene.model.checks` says what is refused and why.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit._fuser import optimized_execution

from phosphene.core.cache import Cache
from phosphene.core.hooks import is_hookable
from phosphene.core.images import ImageShape
from phosphene.errors import FailedCheck
from phosphene.model.batching import default_batch_size, run_in_batches
from phosphene.model.checks import CHECKS
from phosphene.model.fingerprint import describe_behavior, fingerprint
from phosphene.model.folding import fold_batch_norms
from phosphene.model.freezing import frozen
from phosphene.model.guests import check_arguments, check_call, check_weights, unwrap
from phosphene.model.habits import HABITS, copy_module, deepcopy_quietly, device_of, dtype_of, lay_weights
from phosphene.model.input_format import InputFormat
from phosphene.model.labels import Labels, read_labels
from phosphene.model.layout import Layout, Unclear
from phosphene.model.normalization import Doubt, doubt_normalization
from phosphene.model.observing import keep_batch, observe_batch
from phosphene.model.outputs import (
    OUTPUTS,
    OutputKind,
    choose_kind,
    count_classes,
    drop_places,
    find_tensor,
    guess_kind,
)
from phosphene.model.probe import gradient_agrees, probe, probe_images
from phosphene.model.quantised import is_quantised_linear, straight_through
from phosphene.model.reference import ModelReference
from phosphene.model.small_passes import FillUp, choose_size

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
    pad_batches: bool  # results are bit-identical whatever the number of images: a last batch is filled up for that
    fixed_batch: int | None  # the only number of images that the module takes, where there is one
    channels_last: bool  # how images lie in memory when the module receives them
    output: str | None  # which tensor, where the module returns several
    output_kind: OutputKind  # how its numbers become logits and probabilities
    checks: tuple[str, ...]  # names of the checks that were raised and are not fatal
    reference: ModelReference | None  # how another process opens it
    opened: tuple[tuple[str, str], ...]  # options of `load` that a reader has to give too, files by their names
    doubt: Doubt | None  # a normalisation that fits the network's own statistics, where the stated one does not
    cache: Cache  # of what was measured on this classifier
    passes: Cache  # of what was tried of the module's passes, also by other classifiers with the same module

    def __init__(
        self,
        module: nn.Module,
        input_format: InputFormat,
        *,
        name: str = "model",
        labels: Labels | None = None,
        outputs: str | None = None,
        output: str | None = None,
        reference: ModelReference | None = None,
    ) -> None:
        check_arguments(module, input_format)
        module, labels = unwrap(module), read_labels(labels)
        check_weights(module, name)
        check_call(module, name)
        self.__dict__.update(module=module, format=input_format, name=name, reference=reference, checks=())
        self.__dict__.update(fingerprint=fingerprint(module.state_dict()), cache=Cache(), passes=Cache())
        self.__dict__.update(pad_batches=True)
        self.__dict__.update(batch_size=default_batch_size(device_of(module), input_format.size), channels_last=True)
        self.__dict__.update(output_kind=_RAW, output=output, fixed_batch=None, opened=())
        if any(map(is_quantised_linear, module.modules())):  # it scales activations by all images of a batch
            self.__dict__.update(fixed_batch=1, checks=("fixed-batch",))
        numbers = self._probe_layouts()
        self.__dict__["behavior"] = describe_behavior(numbers)
        kind = guess_kind(numbers, name) if outputs is None else choose_kind(outputs)
        guessed = ("probabilities",) if kind.name == "probabilities" and outputs is None else ()
        self.__dict__.update(output_kind=kind, checks=(*self.checks, *guessed))
        count = count_classes(kind, numbers, name)
        self.__dict__["labels"] = labels if labels is not None else tuple(str(k) for k in range(count))
        bare = () if self._has_layers() else ("no-layers",)
        doubts = () if (doubt := doubt_normalization(module, input_format)) is None else ("suspicious-normalisation",)
        wrong = () if gradient_agrees(self, self.image_shape) else ("gradient-mismatch",)
        self.__dict__.update(doubt=doubt, checks=(*self.checks, *bare, *doubts, *wrong))
        if len(self.labels) != count:
            raise CHECKS["labels-mismatch"].failed(f"{name} has {count} outputs but {len(self.labels)} labels")

    def _has_layers(self) -> bool:
        """Whether layers can be observed: scripted ones take no hooks, those of an exported program never run."""
        if not isinstance(self.module, torch.fx.GraphModule):
            return any(map(is_hookable, self.module.modules()))
        return bool(self.observe_layers(probe_images(self.image_shape, 1), lambda output: output.new_ones(1)))

    def _probe_layouts(self) -> Tensor:
        """The outputs of the probe images, in the fast layout or, where the module refuses it, in the usual one, or as
        many images at a time as it takes."""
        try:
            return probe(self, self.image_shape, self.name)
        except FailedCheck as refusal:
            if refusal.check not in ("wrong-input", "wrong-output"):
                raise
            for changes in HABITS if refusal.check == "wrong-input" else HABITS[1:2]:
                self.__dict__.update(changes)
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
        if "module" in changes:
            changes = {"passes": Cache(), **changes}
        other = copy.copy(self)
        other.__dict__.update(changes, cache=Cache())
        return other

    @property
    def device(self) -> torch.device:
        return device_of(self.module)

    @property
    def image_shape(self) -> ImageShape:
        return (self.format.channels, *self.format.size)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits `(N, K)`, on the device of the images, whichever the module is on."""
        with frozen(self.module), straight_through(self.module):
            here = images.to(self.device)
            least = self._choose_least(here)
            return run_in_batches(self._forward_as_full, here, self.batch_size, least).to(images.device)

    def normalize(self, images: Tensor) -> Tensor:
        """Images in [0,1] as the module wants them."""
        both = (self.format.mean, self.format.std)
        mean, std = (torch.tensor(values, device=images.device).view(1, -1, 1, 1) for values in both)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        normalized = (images.contiguous(memory_format=layout) - mean) / std
        return normalized.to(dtype_of(self.module))

    def _choose_least(self, images: Tensor) -> int:
        """The fewest images of the last pass: so many that results are bit-identical whatever the number of images."""
        if not self.pad_batches or self.fixed_batch is not None:  # a fixed batch is always as large
            return 0
        last = images[len(images) - len(images) % self.batch_size :]
        if not len(last):
            return self.batch_size
        kind = (self.output, self.output_kind.name, self.channels_last, str(self.device), dtype_of(self.module))
        mixed = tuple(map(torch.is_autocast_enabled, ("cpu", "cuda")))
        return choose_size(self.passes, self._forward, last, self.batch_size, (kind, mixed))

    def _forward_as_full(self, images: Tensor) -> Tensor:
        """Logits of one batch, with the numbers of a full one where it is filled up for that."""
        if not self.pad_batches or len(images) >= self.batch_size or self.fixed_batch is not None:
            return self._forward(images)
        with FillUp(self.passes, len(images), self.batch_size):
            return self._forward(images)

    def _forward(self, images: Tensor) -> Tensor:
        """Logits of one batch, which goes through the module in parts where it takes a fixed number of images."""
        size = self.fixed_batch or len(images)
        outputs = run_in_batches(self._run, images, size, size)
        return self.output_kind.to_logits(outputs)

    def _run(self, images: Tensor) -> Tensor:
        """What the module returns for a batch, as rows of float32."""
        with optimized_execution(False):  # an optimised program records one node for many, with no inside
            outputs = find_tensor(self.module(self.normalize(images)), self.output)
        outputs = outputs[:, None] if outputs.ndim == 1 else drop_places(outputs)
        if outputs.is_complex():
            raise CHECKS["wrong-output"].failed(f"{self.name} gives complex numbers")
        if outputs.ndim != 2 or outputs.shape[0] != images.shape[0]:
            raise CHECKS["wrong-output"].failed(
                f"{self.name} gives outputs of shape {tuple(outputs.shape)} for {images.shape[0]} images"
            )
        return outputs.float()

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
                module=copy_module(self.module), reference=self.reference, checks=(*self.checks, "not-folded")
            )
        return faster._lay_channels_last() if self.channels_last else faster

    def _lay_channels_last(self) -> Classifier:
        """This private copy with its weights channels-last, or in the usual layout where it refuses them.

        A convolution's output lies as its weights do, so a module that took the images may still refuse this.
        """
        try:
            lay_weights(self.module, torch.channels_last)
            with torch.no_grad():
                self(probe_images(self.image_shape, count=2))
        except Exception:  # the user's own module may raise anything
            lay_weights(self.module, torch.contiguous_format)
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
        faster = self.replace(module=deepcopy_quietly(self.module), reference=self.reference)
        with frozen(faster.module), torch.no_grad():
            fold_batch_norms(faster.module, self.normalize(images[:1].to(self.device)))
        with torch.no_grad():
            same = torch.allclose(faster(images), self(images), rtol=0, atol=FOLDING_TOLERANCE)
        return faster if same else None

    def resize(self, size: tuple[int, int]) -> Classifier:
        """The same network on images of another size. Raises `FailedCheck` where it does not take them."""
        other = self.replace(format=dataclasses.replace(self.format, size=size))
        if (count := probe(other, other.image_shape, other.name).shape[1]) != len(self.labels):
            those = f"{len(self.labels)} for those of {self.format.size}"
            raise CHECKS["wrong-input"].failed(f"{self.name} gives {count} outputs for images of {size}, {those}")
        return other

    def observe_layers(
        self,
        images: Tensor,
        summarize: Callable[[Tensor], Tensor | None],
        layouts: Mapping[str, Layout | Unclear] | None = None,
    ) -> dict[str, Tensor]:
        """`summarize` of each layer's output, by layer name in the order of computing; None is left out.

        Of a layer that runs more than once it is that of the last time. With `layouts` outputs are arranged as
        `(N, C, *positions)` first, and layers of which the layout is not certain are left out.
        """
        parts = [observe_batch(self, some, summarize, layouts) for some in images.split(self._images_a_call)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def forward_with_layers(self, images: Tensor, layers: Mapping[str, Layout]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits, and what the named layers gave as `(N, C, *positions)`, as parts of one graph.

        Of a layer that runs more than once it is what it gave last. Of a folded classifier a convolution gives what the
        batch norm behind it gave.
        """
        parts = [keep_batch(self, some, layers) for some in images.split(self._images_a_call)]
        joined = {name: torch.cat([outputs[name] for _, outputs in parts]) for name in parts[0][1]}
        return torch.cat([logits for logits, _ in parts]), joined

    @property
    def _images_a_call(self) -> int:
        """How many images at most one call of the module receives."""
        return self.fixed_batch if self.fixed_batch is not None else self.batch_size
