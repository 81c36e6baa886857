"""Classifiers of torchvision and timm as ONNX files: are our numbers those of onnxruntime?

    python -m benchmarks.onnx_files --keep FOLDER [NAME ...]

Each architecture, with random weights, is exported by both exporters of torch, one with a batch of one and one with any
batch, and three of them are quantised in each way that onnxruntime knows. Every file is opened by phosphene and by
onnxruntime; the table holds the largest difference of an output, relative to the largest output, over three images.
A quantised network rounds, so there the difference is in steps of its output.
Files in FOLDER are used again. A finished row is kept: the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.record import RESULTS, markdown, write_result
from phosphene.model.sources.libraries import import_torchvision
from phosphene.model.sources.onnx_files.load import load_network
from phosphene.model.sources.onnx_files.network import Network, Node

TORCHVISION = {
    "alexnet": 224, "resnet18": 64, "squeezenet1_1": 64, "densenet121": 64, "googlenet": 64, "inception_v3": 96,
    "shufflenet_v2_x0_5": 64, "mobilenet_v2": 64, "mobilenet_v3_small": 64, "mnasnet0_5": 64, "efficientnet_b0": 64,
    "efficientnet_v2_s": 64, "regnet_y_400mf": 64, "convnext_tiny": 64, "vit_b_16": 224, "swin_t": 64,
    "swin_v2_t": 64, "maxvit_t": 224, "resnext50_32x4d": 64,
}  # fmt: skip
TIMM = (
    "resnet10t", "mobilenetv3_small_050", "efficientnet_lite0", "deit_tiny_patch16_224", "mixer_s32_224",
    "resmlp_12_224", "convnext_atto", "convnextv2_atto", "poolformer_s12", "regnetz_005", "ghostnet_050",
    "mobilevit_xxs", "mobilevitv2_050", "edgenext_xx_small", "efficientformer_l1", "efficientformerv2_s0",
    "levit_128s", "swin_tiny_patch4_window7_224", "cait_xxs24_224", "coat_tiny", "pvt_v2_b0", "tinynet_e",
    "lcnet_050", "hrnet_w18_small", "dla34", "dpn48b", "repvgg_a0", "nfnet_l0", "eca_nfnet_l0", "resnest14d",
    "skresnet18", "res2net50_26w_4s", "selecsls42", "gmixer_24_224", "gmlp_ti16_224",
)  # fmt: skip
QUANTISED = ("resnet10t", "mobilenetv3_small_050", "squeezenet1_1")
FORMS = ("QDQ", "QOperator", "dynamic")


def build(name: str) -> tuple[nn.Module, int]:
    """The architecture with random weights, its statistics and its head away from what they start as, and a size."""
    models = import_torchvision().models
    torch.manual_seed(0)
    if name in TORCHVISION:
        extra = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        module, size = models.get_model(name, weights=None, **extra), TORCHVISION[name]
    else:
        import timm

        module = timm.create_model(name, pretrained=False)
        size = module.default_cfg["input_size"][1]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
                part.running_mean.copy_(torch.randn(part.running_mean.shape, generator=generator) / 10)
                part.running_var.copy_(torch.rand(part.running_var.shape, generator=generator) + 0.5)
            if isinstance(part, nn.Linear) and not part.weight.any():
                part.weight.copy_(torch.randn(part.weight.shape, generator=generator) / 10)
    return module.eval(), size


def export(name: str, exporter: str, path: Path) -> None:
    """`script`: with a batch of one; `dynamo`: with any batch."""
    module, size = build(name)
    if exporter == "script":
        torch.onnx.export(module, (torch.rand(1, 3, size, size),), path, dynamo=False)
        return
    batch = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        module, (torch.rand(2, 3, size, size),), path, dynamo=True, verbose=False, external_data=False,
        dynamic_shapes=batch,
    )  # fmt: skip


def quantise(path: Path, form: str, out: Path, images: Tensor) -> None:
    """As onnxruntime advises: simplified first, weights of 7 bits, ranges of eight images."""
    from onnxruntime import quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process

    simple = out.with_suffix(".simple.onnx")
    quant_pre_process(str(path), str(simple), skip_symbolic_shape=True)
    path = simple
    if form == "dynamic":
        q.quantize_dynamic(path, out, op_types_to_quantize=["Conv", "MatMul", "Gemm"], weight_type=q.QuantType.QUInt8)
        return
    feeds = iter([{onnxruntime.InferenceSession(path).get_inputs()[0].name: image[None].numpy()} for image in images])

    class Reader(q.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Any:
            return next(feeds, None)

    kind = q.QuantFormat.QDQ if form == "QDQ" else q.QuantFormat.QOperator
    q.quantize_static(path, out, Reader(), quant_format=kind, reduce_range=True)


def ask_runtime(path: Path, images: Tensor) -> Tensor:
    """onnxruntime's outputs, image by image, of the graph as it is written."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = [one.name for one in session.get_inputs()]
    return torch.from_numpy(np.concatenate([session.run(None, {name: image[None].numpy()})[0] for image in images]))


def compare(path: Path, *, steps: bool = False) -> str:
    """The largest difference relative to the largest output, or in steps of a 255th of the outputs' range."""
    network = load_network(path)
    images = torch.rand(3, 3, *network.layout.size, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        ours, theirs = network(images), ask_runtime(path, images)
    difference = (ours - theirs).abs().max().item()
    span = (theirs.max() - theirs.min()).item() / 255 if steps else theirs.abs().max().item()
    return f"{difference / span:.1f} steps" if steps else f"{difference / span:.0e}{_describe(network)}"


def _describe(network: Network) -> str:
    alone = any(module.form is not None for module in network.modules() if isinstance(module, Node))
    return " (image by image)" if alone else ""


def measure(name: str, exporter: str, folder: Path) -> str:
    path = folder / f"{name}-{exporter}.onnx"
    try:
        if not path.is_file():
            export(name, exporter, path)
    except Exception as error:
        path.unlink(missing_ok=True)
        return f"torch does not export it ({type(error).__name__})"
    return compare(path)


def measure_quantised(name: str, form: str, folder: Path) -> str:
    path, out = folder / f"{name}-script.onnx", folder / f"{name}-{form}.onnx"
    try:
        if not out.is_file():
            _, size = build(name)
            quantise(path, form, out, torch.rand(8, 3, size, size, generator=torch.Generator().manual_seed(5)))
    except Exception as error:
        out.unlink(missing_ok=True)
        return f"onnxruntime does not quantise it ({type(error).__name__})"
    return compare(out, steps=True)


def measure_all(names: Sequence[str], folder: Path, command: str) -> list[dict[str, str]]:
    known = RESULTS / "onnx_files.json"
    rows = json.loads(known.read_text())["rows"] if known.is_file() else []
    for name in names:
        if any(row["architecture"] == name for row in rows):
            continue
        row = {"architecture": name}
        row |= {
            "script, one image": measure(name, "script", folder),
            "dynamo, any batch": measure(name, "dynamo", folder),
        }
        row |= {form: measure_quantised(name, form, folder) if name in QUANTISED else "" for form in FORMS}
        rows.append(row)
        write_result("onnx_files", command, {"images": 3}, rows)
        print(row, flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="architectures, instead of all")
    parser.add_argument("--keep", type=Path, required=True, help="where exported files are kept, and found again")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    options.keep.mkdir(parents=True, exist_ok=True)
    names = options.names or [*TORCHVISION, *TIMM]
    print(markdown(measure_all(names, options.keep, "python -m benchmarks.onnx_files --keep FOLDER")))


if __name__ == "__main__":
    main()
