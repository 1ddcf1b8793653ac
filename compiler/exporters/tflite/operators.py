"""How each operator stands in a TFLite file: its code, its options, and the operands that are attributes here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from tflite.ActivationFunctionType import ActivationFunctionType
from tflite.BuiltinOperator import BuiltinOperator
from tflite.BuiltinOptions import BuiltinOptions
from tflite.Padding import Padding as FilePadding

from thimble.compiler.exporters.flatbuffer import Scalar, Table
from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Site, Value, constant
from thimble.compiler.ir.operator import Array, Operator
from thimble.compiler.ops.abs import Abs
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add, Sub
from thimble.compiler.ops.arg_min_max import ArgExtreme
from thimble.compiler.ops.batch_matmul import BatchMatmul
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.elu import Elu
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.gather import Gather
from thimble.compiler.ops.hard_swish import HardSwish
from thimble.compiler.ops.has_outliers import HasOutliers
from thimble.compiler.ops.join import Concatenation, Pack
from thimble.compiler.ops.leaky_relu import LeakyRelu
from thimble.compiler.ops.minimum_maximum import Extremum
from thimble.compiler.ops.mirror_pad import MirrorPad
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.neg import Neg
from thimble.compiler.ops.pad import Pad, Paddings, PadV2
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.prelu import Prelu
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reduce import Reduction
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.ops.reshape import ExpandDims, Reshape, Squeeze
from thimble.compiler.ops.resize import ResizeBilinear, ResizeNearestNeighbor
from thimble.compiler.ops.rsqrt import Rsqrt
from thimble.compiler.ops.select import Select
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.slice import Slice, StridedSlice
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.space_to_depth import DepthToSpace, SpaceToDepth
from thimble.compiler.ops.split import Split, SplitV, Unpack
from thimble.compiler.ops.squared_difference import SquaredDifference
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.ops.transpose_conv import TransposeConv
from thimble.compiler.ops.window import ExplicitPadding, Padding

Operand = int | Array | Value
"""Input of this position, or a constant of the file that is an attribute here."""


@dataclass(frozen=True, slots=True)
class FileForm:
    """An operator's options, None or the name of their table in the schema; `operands` None: the inputs as they are."""

    options: str | None
    fields: Table
    operands: tuple[Operand, ...] | None = None


Fields = Sequence[tuple[str, int | float]]

_ACTIVATIONS = {
    Activation.NONE: ActivationFunctionType.NONE,
    Activation.RELU: ActivationFunctionType.RELU,
    Activation.RELU_N1_TO_1: ActivationFunctionType.RELU_N1_TO_1,
    Activation.RELU6: ActivationFunctionType.RELU6,
}


CUSTOM_PREFIX = "thimble."
"""How the names of operators begin that the schema does not have; a file gives the name beside the code CUSTOM."""


def code_of(op: Operator) -> int:
    """The schema's number of an operator, whose name here is the schema's own in lower case; CUSTOM for our own."""
    return int(getattr(BuiltinOperator, "CUSTOM" if custom_code(op) else op.name.upper()))


def custom_code(op: Operator) -> str:
    """The name in a file of an operator that the schema does not have; empty for all others."""
    return f"{CUSTOM_PREFIX}{op.name}" if isinstance(op, _CUSTOM) else ""


def version_of(op: Operator) -> int:
    """The version at which int8 came to an operator."""
    return _VERSIONS.get(op.name, 1)


def options_type(form: FileForm) -> int:
    """The schema's number of an options table."""
    return int(getattr(BuiltinOptions, form.options)) if form.options else 0


def file_form(site: Site) -> FileForm:
    """The operator as a TFLite file has it. Raises UnsupportedOp where the format has nothing like it."""
    for kind, form in _FORMS:
        if isinstance(site.op, kind):
            return form(site)
    if not isinstance(site.op, _PLAIN):
        raise UnsupportedOp(f"{site.source}: {site.op.name} cannot be written to a TFLite file.")
    return FileForm(None, Table({}))


def _form(options: str, fields: Fields, operands: tuple[Operand, ...] | None = None) -> FileForm:
    """A form whose options hold `fields`, (type, value) in the schema's order; "" for the type leaves one out."""
    table = {slot: Scalar(kind, value) for slot, (kind, value) in enumerate(fields) if kind}
    return FileForm(options, Table(table), operands)


def _ints(values: Sequence[int]) -> Array:
    return np.array(values, np.int32)


def _pairs(paddings: Paddings) -> Array:
    return np.array(paddings, np.int32).reshape(-1, 2)


def _padding(site: Site, padding: Padding | ExplicitPadding) -> int:
    if isinstance(padding, ExplicitPadding):
        raise UnsupportedOp(f"{site.source} pads by other numbers than a TFLite file can say.")
    return int(FilePadding.SAME if padding is Padding.SAME else FilePadding.VALID)


def _fused(activation: Activation) -> tuple[str, int]:
    return "byte", int(_ACTIVATIONS[activation])


def _conv_2d(site: Site) -> FileForm:
    op = cast(Conv2D, site.op)
    return _form(
        "Conv2DOptions",
        (
            ("byte", _padding(site, op.padding)),
            ("int", op.stride_width),
            ("int", op.stride_height),
            _fused(op.activation),
            ("int", op.dilation_width),
            ("int", op.dilation_height),
        ),
    )


def _depthwise_conv_2d(site: Site) -> FileForm:
    op = cast(DepthwiseConv2D, site.op)
    return _form(
        "DepthwiseConv2DOptions",
        (
            ("byte", _padding(site, op.padding)),
            ("int", op.stride_width),
            ("int", op.stride_height),
            ("int", op.multiplier),
            _fused(op.activation),
            ("int", op.dilation_width),
            ("int", op.dilation_height),
        ),
    )


def _transpose_conv(site: Site) -> FileForm:
    op = cast(TransposeConv, site.op)
    fields = (
        ("byte", _padding(site, op.padding)),
        ("int", op.stride_width),
        ("int", op.stride_height),
        _fused(op.activation),
    )
    operands = (_ints(site.output().type.shape), 1, 0, *((2,) if site.has_input(2) else ()))
    return _form("TransposeConvOptions", fields, operands)


def _fully_connected(site: Site) -> FileForm:
    op = cast(FullyConnected, site.op)
    fields = (_fused(op.activation), ("byte", 0), ("bool", op.keep_dims))
    return _form("FullyConnectedOptions", fields)


def _pool(site: Site) -> FileForm:
    op = cast(Pool2D, site.op)
    fields = (
        ("byte", _padding(site, op.padding)),
        ("int", op.stride_width),
        ("int", op.stride_height),
        ("int", op.kernel_width),
        ("int", op.kernel_height),
        _fused(op.activation),
    )
    return _form("Pool2DOptions", fields)


def _activated(options: str) -> Callable[[Site], FileForm]:
    return lambda site: _form(options, (_fused(cast(Any, site.op).activation),))


def _reduction(site: Site) -> FileForm:
    op = cast(Reduction, site.op)
    return _form("ReducerOptions", (("bool", op.keep_dims),), (0, _ints(op.axes)))


def _arg_extreme(site: Site) -> FileForm:
    op = cast(ArgExtreme, site.op)
    options = "ArgMaxOptions" if op.largest else "ArgMinOptions"
    return _form(options, (("byte", 2),), (0, _ints((op.axis,))))


def _reshape(site: Site) -> FileForm:
    shape = _ints(site.output().type.shape)
    return FileForm("ReshapeOptions", Table({0: shape}), (0, shape))


def _squeeze(site: Site) -> FileForm:
    return FileForm("SqueezeOptions", Table({0: _ints(cast(Squeeze, site.op).axes)}))


def _pad_v2(site: Site) -> FileForm:
    op = cast(PadV2, site.op)
    type_ = replace(site.output().type, shape=(1,))
    value = constant("fill", np.array([op.value], type_.dtype.numpy), type_)
    return _form("PadV2Options", (), (0, _pairs(op.paddings), value))


def _mirror_pad(site: Site) -> FileForm:
    op = cast(MirrorPad, site.op)
    return _form("MirrorPadOptions", (("byte", int(op.symmetric)),), (0, _pairs(op.paddings)))


def _has_outliers(site: Site) -> FileForm:
    op = cast(HasOutliers, site.op)
    return FileForm(None, Table({}), (0, _ints((op.low, op.high))))


def _pack(site: Site) -> FileForm:
    return _form("PackOptions", (("int", len(site.inputs)), ("int", cast(Pack, site.op).axis)))


def _split_v(site: Site) -> FileForm:
    op = cast(SplitV, site.op)
    return _form("SplitVOptions", (("int", len(op.sizes)),), (0, _ints(op.sizes), _ints((op.axis,))))


def _strided_slice(site: Site) -> FileForm:
    op = cast(StridedSlice, site.op)
    masks = (("int", op.begin_mask), ("int", op.end_mask), ("int", 0), ("int", 0), ("int", op.shrink_mask))
    operands = (0, _ints(op.begin), _ints(op.end), _ints(op.strides))
    return _form("StridedSliceOptions", masks, operands)


def _resize_bilinear(site: Site) -> FileForm:
    op = cast(ResizeBilinear, site.op)
    fields = (("", 0), ("", 0), ("bool", op.align_corners), ("bool", op.half_pixel_centers))
    return _form("ResizeBilinearOptions", fields, (0, _ints((op.height, op.width))))


def _resize_nearest(site: Site) -> FileForm:
    op = cast(ResizeNearestNeighbor, site.op)
    fields = (("bool", op.align_corners), ("bool", op.half_pixel_centers))
    operands = (0, _ints((op.height, op.width)))
    return _form("ResizeNearestNeighborOptions", fields, operands)


def _of(options: str, describe: Callable[[Any], tuple[Fields, tuple[Operand, ...] | None]]) -> Any:
    """A form that needs nothing but the operator's attributes."""
    return lambda site: _form(options, *describe(site.op))


_FORMS: tuple[tuple[type[Operator], Callable[[Site], FileForm]], ...] = (
    (Conv2D, _conv_2d),
    (DepthwiseConv2D, _depthwise_conv_2d),
    (TransposeConv, _transpose_conv),
    (FullyConnected, _fully_connected),
    (Pool2D, _pool),
    (Add, _activated("AddOptions")),
    (Sub, _activated("SubOptions")),
    (Mul, _activated("MulOptions")),
    (Reduction, _reduction),
    (ArgExtreme, _arg_extreme),
    (Reshape, _reshape),
    (Squeeze, _squeeze),
    (PadV2, _pad_v2),
    (MirrorPad, _mirror_pad),
    (Pack, _pack),
    (HasOutliers, _has_outliers),
    (SplitV, _split_v),
    (StridedSlice, _strided_slice),
    (ResizeBilinear, _resize_bilinear),
    (ResizeNearestNeighbor, _resize_nearest),
    (Softmax, _of("SoftmaxOptions", lambda op: ((("float", op.beta),), None))),
    (LeakyRelu, _of("LeakyReluOptions", lambda op: ((("float", op.alpha),), None))),
    (Concatenation, _of("ConcatenationOptions", lambda op: ((("int", op.axis), ("byte", 0)), None))),
    (Gather, _of("GatherOptions", lambda op: ((("int", op.axis), ("int", op.batch_dims)), None))),
    (SpaceToDepth, _of("SpaceToDepthOptions", lambda op: ((("int", op.block_size),), None))),
    (DepthToSpace, _of("DepthToSpaceOptions", lambda op: ((("int", op.block_size),), None))),
    (Split, _of("SplitOptions", lambda op: ((("int", op.count),), (_ints((op.axis,)), 0)))),
    (Unpack, _of("UnpackOptions", lambda op: ((("int", op.count), ("int", op.axis)), None))),
    (BatchMatmul, _of("BatchMatMulOptions", lambda op: (_flags(op.adjoint_x, op.adjoint_y), None))),
    (ExpandDims, _of("ExpandDimsOptions", lambda op: ((), (0, _ints((op.axis,)))))),
    (Pad, _of("PadOptions", lambda op: ((), (0, _pairs(op.paddings))))),
    (Slice, _of("SliceOptions", lambda op: ((), (0, _ints(op.begin), _ints(op.size))))),
    (Transpose, _of("TransposeOptions", lambda op: ((), (0, _ints(op.permutation))))),
)

_PLAIN: tuple[type[Operator], ...] = (
    Abs,
    Dequantize,
    Elu,
    Extremum,
    HardSwish,
    Logistic,
    Neg,
    Prelu,
    Quantize,
    Relu,
    Relu6,
    Rsqrt,
    Select,
    SquaredDifference,
    Tanh,
)
"""Operators without options that a reader needs."""

_CUSTOM: tuple[type[Operator], ...] = (HasOutliers,)
"""Thimble's own operators."""

_VERSIONS = {"conv_2d": 3, "depthwise_conv_2d": 3, "fully_connected": 4, "softmax": 2, "average_pool_2d": 2}


def _flags(*flags: bool) -> Fields:
    return tuple(("bool", flag) for flag in flags)
