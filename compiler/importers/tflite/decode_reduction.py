"""Decoders of pools, of reductions along axes and of resizes."""

from __future__ import annotations

from tflite.Pool2DOptions import Pool2DOptions
from tflite.ReducerOptions import ReducerOptions
from tflite.ResizeBilinearOptions import ResizeBilinearOptions
from tflite.ResizeNearestNeighborOptions import ResizeNearestNeighborOptions

from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.arg_min_max import ArgExtreme, ArgMax, ArgMin
from thimble.compiler.ops.has_outliers import HasOutliers
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D, Pool2D
from thimble.compiler.ops.reduce import Mean, ReduceMax, Reduction, Sum
from thimble.compiler.ops.resize import Resize, ResizeBilinear, ResizeNearestNeighbor


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
        return Decoded(kind(_int32(op, "axes"), bool(op.options(ReducerOptions).KeepDims())), (0,))

    return decode


def _arg_extreme(kind: type[ArgExtreme]) -> Decoder:
    def decode(op: FileOp) -> Decoded:
        axes = _int32(op, "axes")
        if len(axes) != 1:
            raise MalformedModel(f"{op.source} needs one axis, not {len(axes)}.")
        return Decoded(kind(axes[0]), (0,))

    return decode


def has_outliers(op: FileOp) -> Decoded:
    """Thimble's own operator: its range is a row of two numbers, the least value and the greatest."""
    limits = _int32(op, "range")
    if len(limits) != 2 or len(op.inputs) != 2:
        raise MalformedModel(f"{op.source} needs a tensor and two numbers.")
    return Decoded(HasOutliers(*limits), (0,))


def _resize(kind: type[Resize], schema: type[ResizeBilinearOptions] | type[ResizeNearestNeighborOptions]) -> Decoder:
    def decode(op: FileOp) -> Decoded:
        options = op.options(schema)
        size = _int32(op, "output size")
        if op.input(1).type.shape != (2,):
            raise MalformedModel(f"{op.source} needs an output height and width as one row of two numbers.")
        resize = kind(
            height=size[0],
            width=size[1],
            align_corners=bool(options.AlignCorners()),
            half_pixel_centers=bool(options.HalfPixelCenters()),
        )
        return Decoded(resize, (0,))

    return decode


def _int32(op: FileOp, what: str) -> tuple[int, ...]:
    """The numbers in input 1; TFLite Micro takes int32 ones only."""
    numbers = op.integers(1, what)
    if op.input(1).type.dtype is not DType.INT32:
        raise UnsupportedOp(f"{op.source}: the {what} must be int32, not {op.input(1).type.dtype.value}.")
    return numbers


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.ARG_MAX: _arg_extreme(ArgMax),
    BuiltinOperator.ARG_MIN: _arg_extreme(ArgMin),
    BuiltinOperator.AVERAGE_POOL_2D: _pool(AveragePool2D),
    BuiltinOperator.MAX_POOL_2D: _pool(MaxPool2D),
    BuiltinOperator.MEAN: _reduction(Mean),
    BuiltinOperator.REDUCE_MAX: _reduction(ReduceMax),
    BuiltinOperator.RESIZE_BILINEAR: _resize(ResizeBilinear, ResizeBilinearOptions),
    BuiltinOperator.RESIZE_NEAREST_NEIGHBOR: _resize(ResizeNearestNeighbor, ResizeNearestNeighborOptions),
    BuiltinOperator.SUM: _reduction(Sum),
}
