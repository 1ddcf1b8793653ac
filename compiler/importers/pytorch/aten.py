"""ATen operators as ONNX nodes: what torch.export writes for the layers of torch.nn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from thimble.compiler.importers.pytorch.emitter import Decoder, View


def _same(kind: str, **attributes: Any) -> Decoder:
    """An operator of one tensor."""
    return lambda v: [v.emitter.one(kind, v.tensor("self"), **attributes)]


def _through(v: View) -> Sequence[str]:
    """An operator that changes nothing in a network that runs."""
    return [v.tensor("self" if "self" in v.call.arguments else "input")]


def _dropout(v: View) -> Sequence[str]:
    if v.get("train", False):
        raise v.refused("it is in training mode; call eval() before the export.")
    return [v.tensor("input")]


def _binary(kind: str) -> Decoder:
    """self and other, the latter times alpha."""

    def decode(v: View) -> Sequence[str]:
        other = v.operand("other")
        if v.get("alpha", 1) != 1:
            factor = v.emitter.constant(np.asarray(v.number("alpha"), v.meta("self").dtype))
            other = v.emitter.one("Mul", other, factor)
        return [v.emitter.one(kind, v.tensor("self"), other)]

    return decode


def _reversed_sub(v: View) -> Sequence[str]:
    return [v.emitter.one("Sub", v.operand("other"), v.tensor("self"))]


def _conv(v: View) -> Sequence[str]:
    axes = len(v.meta("input").shape) - 2
    if v.get("transposed", False):
        return _conv_transpose(v)
    padding = v.get("padding", [0])
    window: dict[str, Any] = {
        "strides": v.spatial("stride", axes, 1),
        "dilations": v.spatial("dilation", axes, 1),
        "group": v.integer("groups", 1),
    }
    if isinstance(padding, str):
        window["auto_pad"] = {"same": "SAME_UPPER", "valid": "VALID"}.get(padding, padding)
    else:
        window["pads"] = v.spatial("padding", axes, 0) * 2
    return [v.emitter.one("Conv", v.tensor("input"), v.tensor("weight"), v.optional("bias"), **window)]


def _conv_transpose(v: View) -> Sequence[str]:
    axes = len(v.meta("input").shape) - 2
    window = {
        "strides": v.spatial("stride", axes, 1),
        "dilations": v.spatial("dilation", axes, 1),
        "pads": v.spatial("padding", axes, 0) * 2,
        "output_padding": v.spatial("output_padding", axes, 0),
        "group": v.integer("groups", 1),
    }
    return [v.emitter.one("ConvTranspose", v.tensor("input"), v.tensor("weight"), v.optional("bias"), **window)]


def _linear(v: View) -> Sequence[str]:
    x, weights, bias = v.tensor("input"), v.tensor("weight"), v.optional("bias")
    if len(v.meta("input").shape) == 2:
        return [v.emitter.one("Gemm", x, weights, bias, transB=1)]
    product = v.emitter.one("MatMul", x, v.emitter.one("Transpose", weights, perm=[1, 0]))
    return [product if bias is None else v.emitter.one("Add", product, bias)]


def _addmm(v: View) -> Sequence[str]:
    inputs = v.tensor("mat1"), v.tensor("mat2"), v.tensor("self")
    return [v.emitter.one("Gemm", *inputs, alpha=v.number("alpha", 1), beta=v.number("beta", 1))]


def _matmul(other: str) -> Decoder:
    return lambda v: [v.emitter.one("MatMul", v.tensor("self"), v.tensor(other))]


def _batch_norm(v: View) -> Sequence[str]:
    if v.get("training", False):
        raise v.refused("it is in training mode; call eval() before the export.")
    channels = v.meta("input").shape[1]
    scale = v.optional("weight") or v.emitter.constant(np.ones(channels, np.float32))
    bias = v.optional("bias") or v.emitter.constant(np.zeros(channels, np.float32))
    inputs = v.tensor("input"), scale, bias, v.tensor("running_mean"), v.tensor("running_var")
    return [v.emitter.one("BatchNormalization", *inputs, epsilon=v.number("eps", 1e-5))]


def _layer_norm(v: View) -> Sequence[str]:
    shape = v.integers("normalized_shape")
    scale = v.optional("weight") or v.emitter.constant(np.ones(shape, np.float32))
    inputs = v.tensor("input"), scale, v.optional("bias")
    return [v.emitter.one("LayerNormalization", *inputs, axis=-len(shape), epsilon=v.number("eps", 1e-5))]


def _group_norm(v: View) -> Sequence[str]:
    channels = v.meta("input").shape[1]
    scale = v.optional("weight") or v.emitter.constant(np.ones(channels, np.float32))
    bias = v.optional("bias") or v.emitter.constant(np.zeros(channels, np.float32))
    groups, epsilon = v.integer("num_groups"), v.number("eps", 1e-5)
    return [v.emitter.one("GroupNormalization", v.tensor("input"), scale, bias, num_groups=groups, epsilon=epsilon)]


def clamped(v: View, low: Any, high: Any) -> Sequence[str]:
    """Both bounds as scalars of the input's type; None for an open side."""
    dtype = v.meta("self").dtype
    bounds = [None if bound is None else v.emitter.constant(np.asarray(bound, dtype)) for bound in (low, high)]
    return [v.emitter.one("Clip", v.tensor("self"), *bounds)]


def _clamp(v: View) -> Sequence[str]:
    return clamped(v, v.get("min"), v.get("max"))


def _hardtanh(v: View) -> Sequence[str]:
    return clamped(v, v.number("min_val", -1), v.number("max_val", 1))


def _elu(v: View) -> Sequence[str]:
    if v.number("scale", 1) != 1 or v.number("input_scale", 1) != 1:
        raise v.refused("a scaled ELU is not supported.")
    return [v.emitter.one("Elu", v.tensor("self"), alpha=v.number("alpha", 1))]


def _silu(v: View) -> Sequence[str]:
    x = v.tensor("self")
    return [v.emitter.one("Mul", x, v.emitter.one("Sigmoid", x))]


def _prelu(v: View) -> Sequence[str]:
    weight, rank = v.tensor("weight"), len(v.meta("self").shape)
    if len(v.meta("weight").shape) == 1:
        shape = [-1, *(1,) * max(rank - 2, 0)]
        weight = v.emitter.one("Reshape", weight, v.emitter.integers(shape))
    return [v.emitter.one("PRelu", v.tensor("self"), weight)]


def _softmax(kind: str) -> Decoder:
    return lambda v: [v.emitter.one(kind, v.tensor("self"), axis=v.integer("dim"))]


def _pool(kind: str) -> Decoder:
    def decode(v: View) -> Sequence[str]:
        axes = len(v.meta("self").shape) - 2
        kernel = v.spatial("kernel_size", axes, 1)
        stride = v.integers("stride", []) or kernel
        window: dict[str, Any] = {
            "kernel_shape": kernel,
            "strides": stride * axes if len(stride) == 1 else stride,
            "pads": v.spatial("padding", axes, 0) * 2,
            "ceil_mode": int(bool(v.get("ceil_mode", False))),
        }
        if kind == "MaxPool":
            window["dilations"] = v.spatial("dilation", axes, 1)
        else:
            window["count_include_pad"] = int(bool(v.get("count_include_pad", True)))
            if v.get("divisor_override") is not None:
                raise v.refused("a divisor of its own is not supported.")
        return [v.emitter.one(kind, v.tensor("self"), **window)]

    return decode


def _adaptive_average(v: View) -> Sequence[str]:
    sizes = v.meta("self").shape[2:]
    wanted = v.spatial("output_size", len(sizes), 1)
    if any(size % out for size, out in zip(sizes, wanted, strict=True)):
        raise v.refused(f"pooling {sizes} to {wanted} takes windows of different sizes, which is not supported.")
    if all(out == 1 for out in wanted):
        return [v.emitter.one("GlobalAveragePool", v.tensor("self"))]
    kernel = [size // out for size, out in zip(sizes, wanted, strict=True)]
    return [v.emitter.one("AveragePool", v.tensor("self"), kernel_shape=kernel, strides=kernel)]


def _reduction(kind: str) -> Decoder:
    def decode(v: View) -> Sequence[str]:
        axes = v.get("dim")
        axes = [axes] if isinstance(axes, int) else axes
        given = None if not axes else v.emitter.integers(axes)
        return [v.emitter.one(kind, v.tensor("self"), given, keepdims=int(bool(v.get("keepdim", False))))]

    return decode


def _reshape(v: View) -> Sequence[str]:
    """The shape is the one that the program gives the result."""
    return [v.emitter.one("Reshape", v.tensor("self"), v.emitter.integers(v.output_shape()), allowzero=1)]


def _permute(v: View) -> Sequence[str]:
    rank = len(v.meta("self").shape)
    return [v.emitter.one("Transpose", v.tensor("self"), perm=[axis % rank for axis in v.integers("dims")])]


def _transpose(v: View) -> Sequence[str]:
    rank = len(v.meta("self").shape)
    order = list(range(rank))
    first, second = v.integer("dim0", 0), v.integer("dim1", 1)
    if not -rank <= first < rank or not -rank <= second < rank:
        raise v.refused(f"it names an axis that {rank} dimensions do not have.")
    order[first], order[second] = order[second], order[first]
    return [v.emitter.one("Transpose", v.tensor("self"), perm=order)]


def _concatenate(v: View) -> Sequence[str]:
    return [v.emitter.emit("Concat", v.tensors("tensors"), axis=v.integer("dim", 0))[0]]


def _split(v: View) -> Sequence[str]:
    axis = v.integer("dim", 0)
    metas = [v.emitter.program.metas[name] for name in v.call.outputs]
    sizes = v.emitter.integers([meta.shape[axis] for meta in metas])
    return v.emitter.emit("Split", [v.tensor("self"), sizes], len(metas), axis=axis)


def _slice(v: View) -> Sequence[str]:
    values = v.integer("start", 0), v.integer("end", (1 << 63) - 1), v.integer("dim", 0), v.integer("step", 1)
    return [v.emitter.one("Slice", v.tensor("self"), *(v.emitter.integers([i]) for i in values))]


def _select(v: View) -> Sequence[str]:
    index = v.emitter.constant(np.asarray(v.integer("index"), np.int64))
    return [v.emitter.one("Gather", v.tensor("self"), index, axis=v.integer("dim"))]


def _embedding(v: View) -> Sequence[str]:
    return [v.emitter.one("Gather", v.tensor("weight"), v.tensor("indices"), axis=0)]


def _pad(v: View) -> Sequence[str]:
    """torch gives (before, after) from the last axis on."""
    rank, pads = len(v.meta("self").shape), v.integers("pad")
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    mode = modes.get(str(v.get("mode", "constant")))
    if mode is None or len(pads) % 2 or len(pads) > 2 * rank:
        raise v.refused("its mode or its pads are not supported.")
    before, after = [0] * rank, [0] * rank
    for i in range(len(pads) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = pads[2 * i], pads[2 * i + 1]
    value = v.emitter.constant(np.asarray(v.number("value", 0), v.meta("self").dtype))
    return [v.emitter.one("Pad", v.tensor("self"), v.emitter.integers(before + after), value, mode=mode)]


def _resize(mode: str) -> Decoder:
    def decode(v: View) -> Sequence[str]:
        name = "input" if "input" in v.call.arguments else "self"
        corners = bool(v.get("align_corners", False))
        places = "asymmetric" if mode == "nearest" else "align_corners" if corners else "half_pixel"
        sizes = v.emitter.integers(v.output_shape())
        made = v.emitter.one(
            "Resize",
            v.tensor(name),
            None,
            None,
            sizes,
            mode=mode,
            coordinate_transformation_mode=places,
            nearest_mode="floor" if mode == "nearest" else None,
        )
        return [made]

    return decode


def _pixel_shuffle(v: View) -> Sequence[str]:
    return [v.emitter.one("DepthToSpace", v.tensor("self"), blocksize=v.integer("upscale_factor"), mode="CRD")]


def _power(v: View) -> Sequence[str]:
    return [v.emitter.one("Pow", v.tensor("self"), v.operand("exponent"))]


def _reciprocal_root(v: View) -> Sequence[str]:
    return [v.emitter.one("Reciprocal", v.emitter.one("Sqrt", v.tensor("self")))]


def _gelu(v: View) -> Sequence[str]:
    return [v.emitter.one("Gelu", v.tensor("self"), approximate=str(v.get("approximate", "none")))]


DECODERS: dict[str, Decoder] = {
    "_softmax.default": _softmax("Softmax"),
    "_log_softmax.default": _softmax("LogSoftmax"),
    "adaptive_avg_pool1d.default": _adaptive_average,
    "adaptive_avg_pool2d.default": _adaptive_average,
    "_adaptive_avg_pool2d.default": _adaptive_average,
    "add.Tensor": _binary("Add"),
    "addmm.default": _addmm,
    "amax.default": _reduction("ReduceMax"),
    "avg_pool1d.default": _pool("AveragePool"),
    "avg_pool2d.default": _pool("AveragePool"),
    "batch_norm.default": _batch_norm,
    "bmm.default": _matmul("mat2"),
    "cat.default": _concatenate,
    "chunk.default": _split,
    "clamp.default": _clamp,
    "constant_pad_nd.default": _pad,
    "conv1d.default": _conv,
    "conv2d.default": _conv,
    "conv1d.padding": _conv,
    "conv2d.padding": _conv,
    "conv_transpose1d.default": _conv_transpose,
    "conv_transpose2d.input": _conv_transpose,
    "convolution.default": _conv,
    "div.Tensor": _binary("Div"),
    "dropout.default": _dropout,
    "elu.default": _elu,
    "embedding.default": _embedding,
    "gelu.default": _gelu,
    "group_norm.default": _group_norm,
    "hardtanh.default": _hardtanh,
    "hardsigmoid.default": _same("HardSigmoid", alpha=1 / 6, beta=0.5),
    "layer_norm.default": _layer_norm,
    "leaky_relu.default": lambda v: [
        v.emitter.one("LeakyRelu", v.tensor("self"), alpha=v.number("negative_slope", 0.01))
    ],
    "linear.default": _linear,
    "log_softmax.int": _softmax("LogSoftmax"),
    "matmul.default": _matmul("other"),
    "max_pool1d.default": _pool("MaxPool"),
    "max_pool2d.default": _pool("MaxPool"),
    "maximum.default": _binary("Max"),
    "mean.default": _reduction("ReduceMean"),
    "mean.dim": _reduction("ReduceMean"),
    "minimum.default": _binary("Min"),
    "mm.default": _matmul("mat2"),
    "mul.Tensor": _binary("Mul"),
    "pad.default": _pad,
    "permute.default": _permute,
    "pixel_shuffle.default": _pixel_shuffle,
    "pow.Tensor_Scalar": _power,
    "pow.Tensor_Tensor": _power,
    "prelu.default": _prelu,
    "relu6.default": lambda v: clamped(v, 0, 6),
    "rsqrt.default": _reciprocal_root,
    "rsub.Scalar": _reversed_sub,
    "select.int": _select,
    "silu.default": _silu,
    "slice.Tensor": _slice,
    "softmax.int": _softmax("Softmax"),
    "split.Tensor": _split,
    "split_with_sizes.default": _split,
    "sub.Tensor": _binary("Sub"),
    "sum.dim_IntList": _reduction("ReduceSum"),
    "t.default": _transpose,
    "transpose.int": _transpose,
    "upsample_bilinear2d.vec": _resize("linear"),
    "upsample_bilinear2d.default": _resize("linear"),
    "upsample_nearest2d.vec": _resize("nearest"),
    "upsample_nearest2d.default": _resize("nearest"),
    **dict.fromkeys(("alias.default", "clone.default", "contiguous.default", "detach.default"), _through),
    **dict.fromkeys(("lift_fresh_copy.default", "feature_dropout.default"), _through),
    **dict.fromkeys(("view.default", "reshape.default", "_unsafe_view.default", "flatten.using_ints"), _reshape),
    **dict.fromkeys(("squeeze.dim", "squeeze.dims", "squeeze.default", "unsqueeze.default", "unflatten.int"), _reshape),
    **{
        f"{name}.default": _same(kind)
        for name, kind in (
            *(("abs", "Abs"), ("ceil", "Ceil"), ("cos", "Cos"), ("erf", "Erf"), ("exp", "Exp"), ("floor", "Floor")),
            *(("hardswish", "HardSwish"), ("log", "Log"), ("mish", "Mish"), ("neg", "Neg"), ("relu", "Relu")),
            *(
                ("reciprocal", "Reciprocal"),
                ("round", "Round"),
                ("sigmoid", "Sigmoid"),
                ("sign", "Sign"),
                ("sin", "Sin"),
            ),
            *(("softplus", "Softplus"), ("sqrt", "Sqrt"), ("tanh", "Tanh")),
        )
    },
}
"""By ATen name without "aten."; a name with an underscore behind it works in place and means the same here."""
