"""Decoders of pools and of reductions along axes."""

from __future__ import annotations

from tflite.Pool2DOptions import Pool2DOptions
from tflite.ReducerOptions import ReducerOptions
from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.arg_min_max import ArgExtreme, ArgMax, ArgMin
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D, Pool2D
from thimble.compiler.ops.reduce import Mean, ReduceMax, Reduction, Sum


def _pool(kind: type[Pool2D]) -> Decoder:
    def decode(op: FileOp) -> Decoded:
        options = op.options(Pool2DOptions)
        pool = kind(
            kernel_height=options.FilterHeight(),
            kernel_width=options.FilterWidth(),
            stride_height=options.StrideH(),
            stride_width=options.StrideW(),
            padding=op.padding(options.Padding()),
            activation=op.activation(options.FusedActivationFunction()),
        )
        return Decoded(pool, (0,))

    return decode


def _reduction(kind: type[Reduction]) -> Decoder:
    def decode(op: FileOp) -> Decoded:
        return Decoded(kind(_int32_axes(op), bool(op.options(ReducerOptions).KeepDims())), (0,))

    return decode


def _arg_extreme(kind: type[ArgExtreme]) -> Decoder:
    def decode(op: FileOp) -> Decoded:
        axes = _int32_axes(op)
        if len(axes) != 1:
            raise MalformedModel(f"{op.source} needs one axis, not {len(axes)}.")
        return Decoded(kind(axes[0]), (0,))

    return decode


def _int32_axes(op: FileOp) -> tuple[int, ...]:
    """The axes in input 1; TFLite Micro takes int32 ones only."""
    axes = op.integers(1, "axes")
    if op.input(1).type.dtype is not DType.INT32:
        raise UnsupportedOp(f"{op.source}: the axes must be int32, not {op.input(1).type.dtype.value}.")
    return axes


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.ARG_MAX: _arg_extreme(ArgMax),
    BuiltinOperator.ARG_MIN: _arg_extreme(ArgMin),
    BuiltinOperator.AVERAGE_POOL_2D: _pool(AveragePool2D),
    BuiltinOperator.MAX_POOL_2D: _pool(MaxPool2D),
    BuiltinOperator.MEAN: _reduction(Mean),
    BuiltinOperator.REDUCE_MAX: _reduction(ReduceMax),
    BuiltinOperator.SUM: _reduction(Sum),
}
