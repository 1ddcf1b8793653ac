"""Decoders of quantization: to integers, back, and products of integers.

A tensor that is quantized with constant parameters carries them in its type, so that a pass can later make integer
operators of what stands between DEQUANTIZE and QUANTIZE (compiler/passes/integer_form.py). Constants that are
dequantized become floats at once; their type still says of which integers they were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import TensorProto

from thimble.compiler.importers.onnx.builder import Builder, Tensor
from thimble.compiler.importers.onnx.decode_convolution import convolve
from thimble.compiler.importers.onnx.decode_elementwise import ADD, DIVIDE, MUL, SUB
from thimble.compiler.importers.onnx.decode_matmul import matmul
from thimble.compiler.importers.onnx.decoding import Decoder, FileNode
from thimble.compiler.importers.onnx.layout import element_wise, pick, scalar
from thimble.compiler.importers.onnx.tensors import NARROW_INTEGERS, PACKED_TYPES, dtype_of
from thimble.compiler.ir.types import DType, QuantParams, TensorType
from thimble.compiler.ops.cast import Cast
from thimble.compiler.ops.dequantize import Dequantize, dequantized
from thimble.compiler.ops.elementary import Elementary, Function
from thimble.compiler.ops.minimum_maximum import Maximum, Minimum
from thimble.compiler.ops.quantize import Quantize

_STORED = (DType.INT8, DType.UINT8, DType.INT16, DType.INT4, DType.INT2)
"""The types of quantized activations that operators can have."""


def _params(b: Builder, x: Tensor, scale: Tensor, zero: Tensor | None, axis: int) -> QuantParams | None:
    """Constant parameters of `x` as its type has them; None where they are computed, blocked or impossible."""
    if not b.is_constant(scale) or (zero is not None and not b.is_constant(zero)):
        return None
    scales = b.array(scale).astype(np.float32).reshape(-1)
    zeros = np.zeros(scales.shape, np.int64) if zero is None else b.array(zero).astype(np.int64).reshape(-1)
    if len(b.shape(scale)) > 1 or scales.shape != zeros.shape or not (np.isfinite(scales).all() and (scales > 0).all()):
        return None
    if len(scales) == 1:
        return QuantParams((float(scales[0]),), (int(zeros[0]),))
    if not 0 <= axis < len(b.shape(x)) or b.shape(x)[axis] != len(scales):
        return None
    return QuantParams(tuple(map(float, scales)), tuple(map(int, zeros)), x.order.index(axis))


def _axis(node: FileNode) -> int:
    """The axis of per-axis parameters; the default, 1, means nothing to tensors of rank 1."""
    axis, rank = node.integer("axis", 1), len(node.shape())
    return axis + rank if axis < 0 else axis


def _spread(node: FileNode, parameter: Tensor) -> Tensor:
    """A scale or zero point so that it broadcasts to input 0: per tensor, per axis or per block."""
    b, shape, axis = node.builder, node.shape(), _axis(node)
    given = b.shape(parameter)
    if len(given) == 0 or given == (1,):
        return b.reshape(parameter, ())
    if not 0 <= axis < len(shape):
        raise node.malformed(f"its axis {axis} is none of its input {shape}.")
    if len(given) == 1 and given[0] == shape[axis]:
        return b.reshape(parameter, (1 if i != axis else given[0] for i in range(len(shape))))
    block = node.integer("block_size", 0)
    if block < 1 or len(given) != len(shape) or -(-shape[axis] // block) != given[axis]:
        raise node.malformed(f"it has parameters of shape {given} for a tensor {shape}.")
    return pick(b, parameter, axis, np.arange(shape[axis]) // block)


def quantize(b: Builder, x: Tensor, params: QuantParams, dtype: DType) -> Tensor:
    """`x` as integers with constant parameters for the whole tensor."""
    (made,) = b.emit(Quantize(ties_to_even=True), [x.index], dtype, quants=(params,))
    return b.tensor(made, x.order)


def dequantize(b: Builder, x: Tensor, params: QuantParams) -> Tensor | None:
    """The real numbers that `x` stands for; None where it already carries other parameters."""
    value = b.value(x)
    if b.is_constant(x):
        code = b.narrow.get(x.index)
        stored = PACKED_TYPES[NARROW_INTEGERS[code][1]] if code in NARROW_INTEGERS else None
        real = b.constant(dequantized(value.constant, params), value.name, replace(params, stored=stored))
        return replace(real, order=x.order)
    packed = b.packed.get(x.index)
    if packed is not None and b.values[packed].type.quant == _signed(params, value.type.dtype, b.values[packed].type):
        (made,) = b.emit(Dequantize(), [packed], DType.FLOAT32)
        return b.tensor(made, x.order)
    if value.type.quant not in (None, params) or not params.per_tensor or value.type.dtype not in _STORED:
        return None
    b.values[x.index] = replace(value, type=replace(value.type, quant=params))
    (made,) = b.emit(Dequantize(), [x.index], DType.FLOAT32)
    return b.tensor(made, x.order)


def _signed(params: QuantParams, dtype: DType, packed: TensorType) -> QuantParams:
    """Parameters of numbers of `dtype` as those of a packed type, which is signed."""
    offset = 0 if dtype is DType.INT8 else packed.dtype.range[0]
    return replace(params, zero_points=tuple(zero + offset for zero in params.zero_points))


def _stored_type(node: FileNode) -> DType:
    """The type that QuantizeLinear makes: of the zero point, else of its attribute, else uint8."""
    if node.optional(2) is not None:
        return node.dtype(2)
    code = node.integer("output_dtype", 0)
    return dtype_of(code, f"{node.source}: the result") if code else DType.UINT8


def _bits(node: FileNode, dtype: DType) -> int:
    """Bits of the numbers that QuantizeLinear makes."""
    zero = node.optional(2)
    code = node.integer("output_dtype", 0) if zero is None else node.builder.narrow.get(zero.index)
    return NARROW_INTEGERS[code][1] if code in NARROW_INTEGERS else dtype.bits


def _range(bits: int, dtype: DType) -> tuple[int, int]:
    """The smallest and largest number of so many bits."""
    if bits == dtype.bits:
        return dtype.range
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dtype is DType.INT8 else (0, (1 << bits) - 1)


def _quantize_linear(node: FileNode) -> Sequence[Tensor]:
    b, x, dtype = node.builder, node.input(), _stored_type(node)
    if node.integer("precision", 0) not in (0, TensorProto.FLOAT):
        raise node.refused("a precision other than float32 is not supported.")
    if dtype is DType.FLOAT32 or node.dtype() not in (DType.FLOAT32, DType.INT32):
        raise node.refused(f"it makes {dtype.value} of {node.dtype().value}, which is not supported.")
    if node.dtype() is DType.INT32:
        x = b.tensor(b.emit(Cast(), [x.index], DType.FLOAT32)[0], x.order)
    params = _params(b, x, node.input(1), node.optional(2), _axis(node))
    bits = _bits(node, dtype)
    takes = params is not None and params.per_tensor and dtype in _STORED and not b.is_constant(x)
    if params is not None and takes and bits == dtype.bits:
        return [quantize(b, x, params, dtype)]
    steps = element_wise(b, DIVIDE, [x, _spread(node, node.input(1))])
    steps = element_wise(b, Elementary(Function.ROUND), [steps])
    if node.optional(2) is not None:
        zero = _spread(node, node.input(2))
        steps = element_wise(b, ADD, [steps, b.tensor(b.emit(Cast(), [zero.index], DType.FLOAT32)[0], zero.order)])
    low, high = _range(bits, dtype)
    inside = element_wise(b, Maximum(), [steps, scalar(b, low, steps)])
    inside = element_wise(b, Minimum(), [inside, scalar(b, high, steps)])
    (made,) = b.emit(Cast(), [inside.index], dtype)
    if params is not None and takes:  # for a DequantizeLinear; where nothing else reads the integers, they go
        kind = TensorType((), PACKED_TYPES[bits])
        b.packed[made] = quantize(b, x, _signed(params, dtype, kind), kind.dtype).index
    return [b.tensor(made, inside.order)]


def _dequantize_linear(node: FileNode) -> Sequence[Tensor]:
    b, x = node.builder, node.input()
    if node.dtype() is DType.FLOAT32 or node.dtype(1) is not DType.FLOAT32:
        raise node.refused("it dequantizes floats, which is not supported.")
    block = node.integer("block_size", 0)
    if block and b.is_constant(x):
        raise node.refused(
            f"its constant has a scale for each block of {block} values; "
            "weights need one for the whole tensor or for each output channel."
        )
    params = _params(b, x, node.input(1), node.optional(2), _axis(node))
    made = None if params is None else dequantize(b, x, params)
    if made is not None:
        return [made]
    centred = _centred(node, x, node.optional(2))
    real = b.tensor(b.emit(Cast(), [centred.index], DType.FLOAT32)[0], centred.order)
    return [element_wise(b, MUL, [real, _spread(node, node.input(1))])]


def _centred(node: FileNode, x: Tensor, zero: Tensor | None) -> Tensor:
    """int32: `x` minus its zero point."""
    b = node.builder
    wide = b.tensor(b.emit(Cast(), [x.index], DType.INT32)[0], x.order)
    if zero is None:
        return wide
    zero = _spread(node, zero)
    return element_wise(b, SUB, [wide, b.tensor(b.emit(Cast(), [zero.index], DType.INT32)[0], zero.order)])


def real_operand(node: FileNode, first: int, axis: int) -> Tensor:
    """Inputs `first`, its scale and its zero point as a float tensor."""
    b, x = node.builder, node.input(first)
    params = _params(b, x, node.input(first + 1), node.optional(first + 2), axis)
    real = None if params is None else dequantize(b, x, params)
    if real is None:
        raise node.refused("its scales and zero points must be constant, for the whole tensor or for each channel.")
    return real


def quantized_result(node: FileNode, x: Tensor, first: int) -> Tensor:
    """A float tensor quantized with the parameters in inputs `first` and `first` + 1."""
    b = node.builder
    params = _params(b, x, node.input(first), node.input(first + 1), 0)
    dtype = node.dtype(first + 1)
    if params is None or not params.per_tensor or dtype not in _STORED:
        raise node.refused("the parameters of its result must be constant, and for the whole tensor.")
    return quantize(b, x, params, dtype)


def _qlinear_conv(node: FileNode) -> Sequence[Tensor]:
    b = node.builder
    x, weights = real_operand(node, 0, -1), real_operand(node, 3, 0)
    bias = node.optional(8)
    if bias is not None:
        params = _bias_params(node)
        bias = dequantize(b, bias, params) if b.is_constant(bias) else None
        if bias is None:
            raise node.refused("its bias must be constant.")
    return [quantized_result(node, convolve(node, x, weights, bias), 6)]


def _bias_params(node: FileNode) -> QuantParams:
    """A bias is stored at the input's scale times the weights'."""
    products = node.constant(1, "scale").reshape(-1).astype(np.float32) * node.constant(4, "scale").reshape(-1)
    return QuantParams(tuple(float(np.float32(s)) for s in products), (0,) * len(products))


def _qlinear_matmul(node: FileNode) -> Sequence[Tensor]:
    x, y = real_operand(node, 0, -1), real_operand(node, 3, len(node.shape(3)) - 1)
    return [quantized_result(node, matmul(node.builder, x, y), 6)]


def _conv_integer(node: FileNode) -> Sequence[Tensor]:
    b, weights = node.builder, node.input(1)
    zero = node.optional(3)
    if zero is not None and len(b.shape(zero)) == 1 and b.shape(zero) != (1,):
        zero = b.reshape(zero, (b.shape(zero)[0], *(1,) * (len(b.shape(weights)) - 1)))
    x = _centred(node, node.input(0), node.optional(2))
    return [convolve(node, x, _less(b, weights, zero), None)]


def _less(b: Builder, x: Tensor, zero: Tensor | None) -> Tensor:
    wide = b.tensor(b.emit(Cast(), [x.index], DType.INT32)[0], x.order)
    if zero is None:
        return wide
    shaped = b.reshape(zero, ()) if b.value(zero).type.elements == 1 else zero
    return element_wise(b, SUB, [wide, b.tensor(b.emit(Cast(), [shaped.index], DType.INT32)[0], shaped.order)])


def _matmul_integer(node: FileNode) -> Sequence[Tensor]:
    b = node.builder
    zeros = [node.optional(2), node.optional(3)]
    if zeros[0] is not None and len(b.shape(zeros[0])) == 1 and b.shape(zeros[0]) != (1,):
        zeros[0] = b.reshape(zeros[0], (b.shape(zeros[0])[0], 1))
    return [matmul(b, _less(b, node.input(0), zeros[0]), _less(b, node.input(1), zeros[1]))]


MOVING = frozenset(
    (
        *(
            "Concat",
            "DepthToSpace",
            "Expand",
            "Flatten",
            "Gather",
            "MaxPool",
            "Reshape",
            "Slice",
            "SpaceToDepth",
            "Split",
        ),
        *("Squeeze", "Tile", "Unsqueeze"),
    )
)
"""Operators that may stand on quantized integers as they are, and give some of the very same integers."""


def moved_params(node: FileNode) -> QuantParams | None:
    """The parameters of the integers that a node of MOVING works on; None where it works on plain numbers."""
    tensor = node.optional(0)
    if tensor is None or node.proto.op_type not in MOVING or node.builder.is_constant(tensor):
        return None
    kind = node.builder.value(tensor).type
    return kind.quant if kind.dtype in _STORED and kind.quant is not None and kind.quant.per_tensor else None


def moved(node: FileNode, params: QuantParams, decoder: Decoder) -> Sequence[Tensor]:
    """The node between DEQUANTIZE and QUANTIZE, where all quantized integers become operators in one way."""
    b, dtype = node.builder, node.dtype()
    inputs = list(node.inputs)
    count = len(inputs) if node.proto.op_type == "Concat" else 1
    for position in range(count):
        real = dequantize(b, node.input(position), params)
        if real is None:
            raise node.refused("its inputs are quantized with different parameters.")
        inputs[position] = real
    return [quantize(b, made, params, dtype) for made in decoder(replace(node, inputs=tuple(inputs)))]


DECODERS: dict[str, Decoder] = {
    "ConvInteger": _conv_integer,
    "DequantizeLinear": _dequantize_linear,
    "MatMulInteger": _matmul_integer,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize_linear,
}
