"""Decoders of operators that move elements without computing on them."""

from __future__ import annotations

from tflite.ConcatenationOptions import ConcatenationOptions
from tflite.DepthToSpaceOptions import DepthToSpaceOptions
from tflite.GatherOptions import GatherOptions
from tflite.MirrorPadOptions import MirrorPadOptions
from tflite.PackOptions import PackOptions
from tflite.ReshapeOptions import ReshapeOptions
from tflite.SpaceToDepthOptions import SpaceToDepthOptions
from tflite.SplitOptions import SplitOptions
from tflite.SqueezeOptions import SqueezeOptions
from tflite.StridedSliceOptions import StridedSliceOptions
from tflite.UnpackOptions import UnpackOptions

from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.graph import Value
from thimble.compiler.ir.types import MAX_RANK, DType
from thimble.compiler.ops.gather import Gather
from thimble.compiler.ops.join import Concatenation, Pack
from thimble.compiler.ops.mirror_pad import MirrorPad
from thimble.compiler.ops.pad import Pad, Paddings, PadV2
from thimble.compiler.ops.reshape import ExpandDims, Reshape, Squeeze
from thimble.compiler.ops.slice import Slice, StridedSlice
from thimble.compiler.ops.space_to_batch_nd import BatchToSpaceND, SpaceToBatchND
from thimble.compiler.ops.space_to_depth import DepthToSpace, SpaceToDepth
from thimble.compiler.ops.split import Split, SplitV, Unpack
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.ops.variables import AssignVariable, ReadVariable


def _int32s(op: FileOp, index: int, what: str) -> tuple[int, ...]:
    """Input `index`, a constant that TFLite Micro reads as int32 only."""
    if op.input(index).type.dtype is not DType.INT32:
        raise UnsupportedOp(f"{op.source}: the {what} must be int32; TFLite Micro takes no other type.")
    return op.integers(index, what)


def _int32(op: FileOp, index: int, what: str) -> int:
    """Input `index`, a constant of one int32."""
    values = _int32s(op, index, what)
    if len(values) != 1:
        raise MalformedModel(f"{op.source}: the {what} must be one number, not {len(values)}.")
    return values[0]


def _pairs(op: FileOp, index: int, values: tuple[int, ...]) -> Paddings:
    """The values of input `index`, of shape (n, 2), as pairs."""
    shape = op.input(index).type.shape
    if len(shape) != 2 or shape[1] != 2:
        raise MalformedModel(f"{op.source} has paddings of shape {shape}; they must be pairs.")
    return tuple(zip(values[::2], values[1::2], strict=True))


def _all_inputs(op: FileOp) -> tuple[int, ...]:
    return tuple(range(len(op.inputs)))


def _reshape(op: FileOp) -> Decoded:
    return Decoded(Reshape(_new_shape(op)), (0,))


def _new_shape(op: FileOp) -> tuple[int, ...]:
    """The shape from input 1, else from the options, else what the output tensor says.

    Old files write a scalar as the shape (0,) in the options, or give a shape input that is no vector.
    """
    if op.has_input(1) and len(op.input(1).type.shape) == 1:
        return op.integers(1, "new shape")
    if op.table is not None:
        options = op.options(ReshapeOptions)
        length = options.NewShapeLength()
        if length > MAX_RANK:
            raise MalformedModel(f"{op.source} asks for a shape of {length} dimensions.")
        if not options.NewShapeIsNone():
            shape = tuple(options.NewShape(i) for i in range(length))
            return () if shape == (0,) else shape
    return op.output().type.shape


def _squeeze(op: FileOp) -> Decoded:
    options = op.options(SqueezeOptions)
    length = options.SqueezeDimsLength()
    if length > MAX_RANK:
        raise MalformedModel(f"{op.source} squeezes {length} dimensions.")
    return Decoded(Squeeze(tuple(options.SqueezeDims(i) for i in range(length))), (0,))


def _expand_dims(op: FileOp) -> Decoded:
    return Decoded(ExpandDims(_int32(op, 1, "axis")), (0,))


def _pad(op: FileOp) -> Decoded:
    return Decoded(Pad(_pairs(op, 1, _int32s(op, 1, "paddings"))), (0,))


def _padv2(op: FileOp) -> Decoded:
    paddings = _pairs(op, 1, _int32s(op, 1, "paddings"))
    if not op.has_input(2):
        return Decoded(Pad(paddings), (0,))
    value = op.constant(2, "padding value")
    kind = op.input(2).type
    if kind.dtype is not op.input(0).type.dtype or kind.elements != 1:
        raise MalformedModel(f"{op.source} has a padding value of another type than its input, or several.")
    if kind.dtype is DType.INT8 and _scale_and_zero(op.input(2)) != _scale_and_zero(op.output()):
        raise UnsupportedOp(f"{op.source}: the padding value must be quantized like the output.")
    return Decoded(PadV2(paddings, value.reshape(-1)[0].item()), (0,))


def _scale_and_zero(value: Value) -> tuple[float, int]:
    quant = value.type.quant
    return (quant.scale, quant.zero_point) if quant is not None else (0.0, 0)


def _mirror_pad(op: FileOp) -> Decoded:
    mode = op.options(MirrorPadOptions).Mode()
    if mode not in (0, 1):
        raise MalformedModel(f"{op.source} has mirror mode {mode}, which does not exist.")
    return Decoded(MirrorPad(_pairs(op, 1, op.integers(1, "paddings")), symmetric=mode == 1), (0,))


def _transpose(op: FileOp) -> Decoded:
    return Decoded(Transpose(_int32s(op, 1, "permutation")), (0,))


def _concatenation(op: FileOp) -> Decoded:
    options = op.options(ConcatenationOptions)
    if options.FusedActivationFunction() != 0:
        raise UnsupportedOp(f"{op.source}: a concatenation cannot have a fused activation.")
    return Decoded(Concatenation(options.Axis()), _all_inputs(op))


def _pack(op: FileOp) -> Decoded:
    options = op.options(PackOptions)
    if options.ValuesCount() != len(op.inputs):
        raise MalformedModel(f"{op.source} packs {options.ValuesCount()} values, but has {len(op.inputs)} inputs.")
    return Decoded(Pack(options.Axis()), _all_inputs(op))


def _unpack(op: FileOp) -> Decoded:
    options = op.options(UnpackOptions)
    return Decoded(Unpack(options.Axis(), options.Num()), (0,))


def _split(op: FileOp) -> Decoded:
    return Decoded(Split(_int32(op, 0, "axis"), op.options(SplitOptions).NumSplits()), (1,))


def _split_v(op: FileOp) -> Decoded:
    return Decoded(SplitV(_int32(op, 2, "axis"), op.integers(1, "sizes")), (0,))


def _slice(op: FileOp) -> Decoded:
    if op.input(1).type.dtype is not op.input(2).type.dtype:
        raise MalformedModel(f"{op.source} has a begin and a size of different types.")
    return Decoded(Slice(op.integers(1, "begin"), op.integers(2, "size")), (0,))


def _strided_slice(op: FileOp) -> Decoded:
    options = op.options(StridedSliceOptions)
    if options.EllipsisMask() or options.NewAxisMask() or options.Offset():
        raise UnsupportedOp(
            f"{op.source}: ellipsis mask, new axis mask and offset are not supported, as in TFLite Micro; "
            "name all dimensions and reshape instead."
        )
    sliced = StridedSlice(
        begin=_int32s(op, 1, "begin"),
        end=_int32s(op, 2, "end"),
        strides=_int32s(op, 3, "strides"),
        begin_mask=options.BeginMask(),
        end_mask=options.EndMask(),
        shrink_mask=options.ShrinkAxisMask(),
    )
    return Decoded(sliced, (0,))


def _gather(op: FileOp) -> Decoded:
    options = op.options(GatherOptions)
    return Decoded(Gather(options.Axis(), options.BatchDims()), (0, 1))


def _space_to_depth(op: FileOp) -> Decoded:
    return Decoded(SpaceToDepth(op.options(SpaceToDepthOptions).BlockSize()), (0,))


def _depth_to_space(op: FileOp) -> Decoded:
    return Decoded(DepthToSpace(op.options(DepthToSpaceOptions).BlockSize()), (0,))


def _space_to_batch_nd(op: FileOp) -> Decoded:
    edges = _pairs(op, 2, _int32s(op, 2, "paddings"))
    return Decoded(SpaceToBatchND(_int32s(op, 1, "block shape"), edges), (0,))


def _batch_to_space_nd(op: FileOp) -> Decoded:
    edges = _pairs(op, 2, _int32s(op, 2, "crops"))
    return Decoded(BatchToSpaceND(_int32s(op, 1, "block shape"), edges), (0,))


def _read_variable(op: FileOp) -> Decoded:
    return Decoded(ReadVariable(), (0,))


def _assign_variable(op: FileOp) -> Decoded:
    return Decoded(AssignVariable(), (0, 1))


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.ASSIGN_VARIABLE: _assign_variable,
    BuiltinOperator.BATCH_TO_SPACE_ND: _batch_to_space_nd,
    BuiltinOperator.CONCATENATION: _concatenation,
    BuiltinOperator.DEPTH_TO_SPACE: _depth_to_space,
    BuiltinOperator.EXPAND_DIMS: _expand_dims,
    BuiltinOperator.GATHER: _gather,
    BuiltinOperator.MIRROR_PAD: _mirror_pad,
    BuiltinOperator.PACK: _pack,
    BuiltinOperator.PAD: _pad,
    BuiltinOperator.PADV2: _padv2,
    BuiltinOperator.READ_VARIABLE: _read_variable,
    BuiltinOperator.RESHAPE: _reshape,
    BuiltinOperator.SLICE: _slice,
    BuiltinOperator.SPACE_TO_BATCH_ND: _space_to_batch_nd,
    BuiltinOperator.SPACE_TO_DEPTH: _space_to_depth,
    BuiltinOperator.SPLIT: _split,
    BuiltinOperator.SPLIT_V: _split_v,
    BuiltinOperator.SQUEEZE: _squeeze,
    BuiltinOperator.STRIDED_SLICE: _strided_slice,
    BuiltinOperator.TRANSPOSE: _transpose,
    BuiltinOperator.UNPACK: _unpack,
}
