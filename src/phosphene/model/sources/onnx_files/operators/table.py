"""The operators of ONNX that are supported, by name; those of another domain than ONNX's own carry its name."""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.model.sources.onnx_files.operators import classical as c
from phosphene.model.sources.onnx_files.operators import elementwise as e
from phosphene.model.sources.onnx_files.operators import indexing as i
from phosphene.model.sources.onnx_files.operators import linear as m
from phosphene.model.sources.onnx_files.operators import normalization as n
from phosphene.model.sources.onnx_files.operators import quantized as q
from phosphene.model.sources.onnx_files.operators import reductions as r
from phosphene.model.sources.onnx_files.operators import resize as z
from phosphene.model.sources.onnx_files.operators import shapes as s
from phosphene.model.sources.onnx_files.operators import spatial as p
from phosphene.model.sources.onnx_files.operators.call import Operator

ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "BitwiseNot": torch.bitwise_not,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "HardSwish": F.hardswish,
    "Identity": e.keep,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Mish": F.mish,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Round": q.round_through,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
}

TWO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "And": torch.logical_and,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Div": e.divide,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Sub": torch.sub,
    "Xor": torch.logical_xor,
}

MANY = {"Max": torch.maximum, "Min": torch.minimum, "Sum": operator.add}

REDUCTIONS = {
    "ReduceL1": r.sum_of_absolutes,
    "ReduceL2": r.length,
    "ReduceLogSum": r.log_of_sum,
    "ReduceLogSumExp": r.log_of_sum_of_exponentials,
    "ReduceMax": r.largest,
    "ReduceMean": r.average,
    "ReduceMin": r.smallest,
    "ReduceProd": r.product,
    "ReduceSum": r.total,
    "ReduceSumSquare": r.sum_of_squares,
}

OTHERS: dict[str, Operator] = {
    "ArgMax": r.arg_extreme(True),
    "ArgMin": r.arg_extreme(False),
    "Attention": m.attention,
    "AveragePool": p.average_pool,
    "BatchNormalization": n.batch_normalization,
    "BitShift": e.shift_bits,
    "Cast": e.cast,
    "CastLike": e.cast_like,
    "Celu": e.celu,
    "Clip": e.clip,
    "Concat": s.concat,
    "ConstantOfShape": e.constant_of_shape,
    "Conv": p.convolve,
    "ConvInteger": q.convolve_integers,
    "ConvTranspose": p.convolve_transposed,
    "CumSum": r.cumulative_sum,
    "DepthToSpace": s.depth_to_space,
    "DequantizeLinear": q.dequantize_linear,
    "Dropout": e.dropout,
    "DynamicQuantizeLinear": q.dynamic_quantize_linear,
    "Einsum": m.einsum,
    "Elu": e.elu,
    "Expand": s.expand,
    "EyeLike": i.identity_like,
    "Flatten": s.flatten,
    "Gather": i.gather,
    "GatherElements": i.gather_elements,
    "GatherND": i.gather_nd,
    "Gelu": e.gelu,
    "Gemm": m.gemm,
    "GlobalAveragePool": p.global_average_pool,
    "GlobalMaxPool": p.global_max_pool,
    "GridSample": i.grid_sample,
    "GroupNormalization": n.group_normalization,
    "HardSigmoid": e.hard_sigmoid,
    "InstanceNormalization": n.instance_normalization,
    "IsInf": e.is_infinite,
    "LRN": n.local_response,
    "LayerNormalization": n.layer_normalization,
    "LeakyRelu": e.leaky_relu,
    "LogSoftmax": e.log_softmax,
    "LpNormalization": n.unit_length,
    "LpPool": p.lp_pool,
    "MatMul": m.matmul,
    "MatMulInteger": q.multiply_integers,
    "MaxPool": p.max_pool,
    "Mean": e.mean,
    "MeanVarianceNormalization": n.mean_variance,
    "Mod": e.modulo,
    "NonZero": i.non_zero,
    "OneHot": i.one_hot,
    "PRelu": e.prelu,
    "Pad": s.pad,
    "Pow": e.power,
    "QLinearConv": q.convolve_quantized,
    "QLinearMatMul": q.multiply_quantized,
    "QuantizeLinear": q.quantize_linear,
    "RMSNormalization": n.rms_normalization,
    "Range": i.sequence,
    "Reshape": s.reshape,
    "Resize": z.resize,
    "ScatterElements": i.scatter_elements,
    "ScatterND": i.scatter_nd,
    "Selu": e.selu,
    "Shape": s.shape,
    "Shrink": e.shrink,
    "Size": s.size,
    "Slice": s.cut,
    "Softmax": e.softmax,
    "SpaceToDepth": s.space_to_depth,
    "Split": s.split,
    "Squeeze": s.squeeze,
    "Swish": e.swish,
    "ThresholdedRelu": e.thresholded_relu,
    "Tile": s.tile,
    "TopK": r.top_k,
    "Transpose": s.transpose,
    "Trilu": s.triangle,
    "Unsqueeze": s.unsqueeze,
    "Upsample": z.upsample,
    "Where": e.select,
}

MICROSOFT: dict[str, Operator] = {
    "BiasGelu": e.bias_gelu,
    "DequantizeLinear": q.dequantize_linear,
    "FastGelu": e.fast_gelu,
    "FusedMatMul": m.fused_matmul,
    "Gelu": e.gelu,
    "QGemm": q.gemm_quantized,
    "QLinearAdd": q.quantized(e.of_two(torch.add), 2),
    "QLinearAveragePool": q.pool_quantized,
    "QLinearConcat": q.concat_quantized,
    "QLinearGlobalAveragePool": q.pool_quantized,
    "QLinearLeakyRelu": q.quantized(e.leaky_relu, 1),
    "QLinearMul": q.quantized(e.of_two(torch.mul), 2),
    "QLinearSigmoid": q.quantized(e.of_one(torch.sigmoid), 1),
    "QLinearSoftmax": q.softmax_quantized,
    "QuantizeLinear": q.quantize_linear,
    "QuickGelu": e.quick_gelu,
}

CLASSICAL: dict[str, Operator] = {
    "LinearClassifier": c.classify_linearly,
    "Normalizer": c.normalize_rows,
    "Scaler": c.scale_features,
    "ZipMap": e.of_one(e.keep),
}

OPERATORS: dict[str, Operator] = {
    **{name: e.of_one(function) for name, function in ONE.items()},
    **{name: e.of_two(function) for name, function in TWO.items()},
    **{name: e.of_many(function) for name, function in MANY.items()},
    **{name: r.reduction(function) for name, function in REDUCTIONS.items()},
    **OTHERS,
    **{f"ai.onnx.ml.{name}": function for name, function in CLASSICAL.items()},
    **{f"com.microsoft.{name}": function for name, function in MICROSOFT.items()},
}

SHAPE_ONLY = frozenset({"Shape", "Size"})  # read how large a tensor is, not what it holds
BATCH_MIXING = frozenset({"DynamicQuantizeLinear"})  # one range for all images of a batch
ROW_BY_ROW = frozenset(
    {
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "GroupNormalization",
        "InstanceNormalization",
        "LRN",
        "MaxPool",
        "SpaceToDepth",
    }
)
POINTWISE = frozenset(
    {*ONE, *TWO, "Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "LeakyRelu", "Selu", "ThresholdedRelu"}
)
