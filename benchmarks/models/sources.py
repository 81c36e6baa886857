"""One function a source: it writes a trained network in that form and says with which options it is asked for."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.models.nets import Logits, Net

Options = dict[str, Any]  # of `phosphene.load`; "model" is MODEL
Save = Callable[[nn.Module, Net, Path], Options]


def _format(net: Net) -> Options:
    """What has to be said where no record says it."""
    form = net.form
    mean, std = (values if len(set(values)) > 1 else values[:1] for values in (form.mean, form.std))
    return {"size": form.size[0], "channels": form.channels, "mean": mean, "std": std}


def _normalization(net: Net) -> Options:
    return {name: value for name, value in _format(net).items() if name in ("mean", "std")}


def _labels(net: Net, folder: Path) -> Options:
    path = folder / f"{net.data.name}.txt"
    path.write_text("".join(f"{name}\n" for name in net.data.labels), encoding="utf-8")
    return {"labels": path}


def _factory(net: Net) -> Options:
    return {"factory": f"benchmarks.models.factories:{net.name.replace('-', '_')}"}


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.contiguous().clone() for name, tensor in module.state_dict().items()}


def save_safetensors(module: nn.Module, net: Net, folder: Path) -> Options:
    path = folder / f"{net.name}.safetensors"
    save_file(_state(module), path)
    return {**_factory(net), "weights": path, **_format(net), **_labels(net, folder)}


def save_checkpoint(module: nn.Module, net: Net, folder: Path) -> Options:
    """As a training script on several devices leaves it: an envelope, and a prefix before every name."""
    path = folder / f"{net.name}.ckpt.pt"
    torch.save({"epoch": 4, "state_dict": {f"module.{name}": one for name, one in _state(module).items()}}, path)
    return {**_factory(net), "weights": path, **_format(net), **_labels(net, folder)}


def save_pickle(module: nn.Module, net: Net, folder: Path) -> Options:
    path = folder / f"{net.name}.whole.pt"
    torch.save(module, path)
    return {"model": path, "trust_pickle": True, **_format(net), **_labels(net, folder)}


def save_pickle_untrusted(module: nn.Module, net: Net, folder: Path) -> Options:
    return {**save_pickle(module, net, folder), "trust_pickle": False}


def save_state_alone(module: nn.Module, net: Net, folder: Path) -> Options:
    options = save_safetensors(module, net, folder)
    return {"model": options["weights"], **_format(net)}


def save_torchscript(module: nn.Module, net: Net, folder: Path) -> Options:
    path = folder / f"{net.name}.script.pt"
    with quiet(), torch.no_grad():
        torch.jit.trace(Logits(module).eval(), _example(net)).save(path)
    return {"model": path, "trust_pickle": True, **_format(net), **_labels(net, folder)}


def save_torchscript_untrusted(module: nn.Module, net: Net, folder: Path) -> Options:
    return {**save_torchscript(module, net, folder), "trust_pickle": False}


def save_exported(module: nn.Module, net: Net, folder: Path) -> Options:
    path = folder / f"{net.name}.pt2"
    with quiet():
        batch = ({0: torch.export.Dim("images", min=1, max=1024)},)
        torch.export.save(torch.export.export(Logits(module).eval(), (_example(net),), dynamic_shapes=batch), path)
    return {"model": path, "trust_pickle": True, **_format(net), **_labels(net, folder)}


def save_exported_untrusted(module: nn.Module, net: Net, folder: Path) -> Options:
    return {**save_exported(module, net, folder), "trust_pickle": False}


def save_onnx(module: nn.Module, net: Net, folder: Path) -> Options:
    path = folder / f"{net.name}.onnx"
    with quiet():
        torch.onnx.export(Logits(module).eval(), (_example(net),), path, dynamo=True, verbose=False,
                          dynamic_shapes=({0: torch.export.Dim("images", min=1, max=1024)},))  # fmt: skip
    return {"model": path, **_normalization(net), **_labels(net, folder)}


def save_onnx_one_image(module: nn.Module, net: Net, folder: Path) -> Options:
    """By the older exporter, for one image at a time."""
    path = folder / f"{net.name}.one.onnx"
    with quiet():
        torch.onnx.export(Logits(module).eval(), (_example(net)[:1],), path, dynamo=False)
    return {"model": path, **_normalization(net), **_labels(net, folder)}


def save_timm_weights(module: nn.Module, net: Net, folder: Path) -> Options:
    """Own weights under a name of timm: classes, channels and size from the tensors, where they say them."""
    path = folder / f"timm-{net.name}.safetensors"
    save_file(_state(module), path)
    return {"model": f"timm:{net.name}", "weights": path, **_format(net), **_labels(net, folder)}


def save_timm_folder(module: nn.Module, net: Net, folder: Path) -> Options:
    from timm.models import save_for_hf

    place = folder / f"timm-{net.name}"
    form = net.form
    record = {"input_size": (form.channels, *form.size), "mean": form.mean, "std": form.std}
    module.pretrained_cfg = {**module.pretrained_cfg, **record}  # type: ignore[operator, assignment, dict-item]
    config = {"num_classes": 10, "label_names": list(net.data.labels)}
    arguments = {"in_chans": form.channels}
    if "vit" in net.name:
        arguments |= {"img_size": form.size[0], "patch_size": 4}
    save_for_hf(module, place, model_config=config, model_args=arguments, safe_serialization=True)
    return {"model": f"timm:local-dir:{place}"}


def save_torchvision_weights(module: nn.Module, net: Net, folder: Path) -> Options:
    path = folder / f"torchvision-{net.name}.safetensors"
    save_file(_state(module), path)
    return {"model": f"torchvision:{net.name}", "weights": path, **_format(net), **_labels(net, folder)}


def save_hugging_face(module: nn.Module, net: Net, folder: Path) -> Options:
    from transformers import ViTImageProcessor

    place, form = folder / f"transformers-{net.name}", net.form
    module.config.id2label = dict(enumerate(net.data.labels))  # type: ignore[union-attr]
    module.config.label2id = {name: index for index, name in enumerate(net.data.labels)}  # type: ignore[union-attr]
    module.save_pretrained(place)  # type: ignore[operator]
    size = {"height": form.size[0], "width": form.size[1]}
    mean, std = (list(values) if len(values) > 1 else list(values) * 3 for values in (form.mean, form.std))
    ViTImageProcessor(size=size, image_mean=mean, image_std=std).save_pretrained(place)
    return {"model": place}


def save_keras(module: nn.Module, net: Net, folder: Path) -> Options:
    path = folder / f"{net.name}.keras"
    module.save(path)  # type: ignore[operator]
    return {"model": path, **_normalization(net), **_labels(net, folder)}


def save_hdf5(module: nn.Module, net: Net, folder: Path) -> Options:
    path = folder / f"{net.name}.h5"
    with quiet():
        module.save(path)  # type: ignore[operator]
    return {"model": path, **_normalization(net)}


SOURCES: dict[str, Save] = {
    "safetensors, own architecture": save_safetensors,
    "checkpoint, own architecture": save_checkpoint,
    "whole module (.pt)": save_pickle,
    "TorchScript": save_torchscript,
    "torch.export (.pt2)": save_exported,
    "ONNX": save_onnx,
    "ONNX, one image": save_onnx_one_image,
    "timm, own weights": save_timm_weights,
    "timm, folder": save_timm_folder,
    "torchvision, own weights": save_torchvision_weights,
    "transformers, folder": save_hugging_face,
    "Keras": save_keras,
    "safetensors, trained on centred images": save_safetensors,
    "safetensors, trained on centred images, --views none": save_safetensors,
    "whole module, not trusted": save_pickle_untrusted,
    "TorchScript, not trusted": save_torchscript_untrusted,
    "torch.export, not trusted": save_exported_untrusted,
    "tensors alone": save_state_alone,
    "Keras of old (.h5)": save_hdf5,
}


def _example(net: Net) -> Tensor:
    return torch.rand(2, net.form.channels, *net.form.size, generator=torch.Generator().manual_seed(0))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters print."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
