"""Decoders of element-wise operators and activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from thimble.compiler.importers.onnx.builder import Builder, Tensor
from thimble.compiler.importers.onnx.decoding import Decoder, FileNode
from thimble.compiler.importers.onnx.layout import element_wise, scalar
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.abs import Abs
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add, Sub
from thimble.compiler.ops.arithmetic import Arithmetic, BinaryArithmetic
from thimble.compiler.ops.comparison import Equal, Greater, GreaterEqual, Less, LessEqual
from thimble.compiler.ops.elementary import Elementary, Function
from thimble.compiler.ops.elu import Elu
from thimble.compiler.ops.hard_swish import HardSwish
from thimble.compiler.ops.leaky_relu import LeakyRelu
from thimble.compiler.ops.minimum_maximum import Maximum, Minimum
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.neg import Neg
from thimble.compiler.ops.prelu import Prelu
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.ops.select import Select
from thimble.compiler.ops.sigmoid import Logistic, Tanh

ADD, SUB, MUL = Add(Activation.NONE), Sub(Activation.NONE), Mul(Activation.NONE)
DIVIDE, POWER = BinaryArithmetic(Arithmetic.DIVIDE), BinaryArithmetic(Arithmetic.POWER)

Parameter = tuple[str, float]


def same(op: Operator) -> Decoder:
    """A decoder of an operator of one input without attributes."""
    return lambda node: [element_wise(node.builder, op, [node.input()])]


def _function(function: Function, *parameters: Parameter) -> Decoder:
    """A decoder of an elementary function; `parameters` are its float attributes with their defaults."""

    def decode(node: FileNode) -> Sequence[Tensor]:
        values = tuple(node.number(name, default) for name, default in parameters)
        return [element_wise(node.builder, Elementary(function, values), [node.input()])]

    return decode


def _binary(op: Operator, dtype: DType | None = None) -> Decoder:
    """A decoder of an operator of two inputs without attributes."""

    def decode(node: FileNode) -> Sequence[Tensor]:
        return [element_wise(node.builder, op, [node.input(0), node.input(1)], dtype)]

    return decode


def _folded(op: Operator) -> Decoder:
    """A decoder of an operator of any number of inputs that takes them two by two."""

    def decode(node: FileNode) -> Sequence[Tensor]:
        inputs = [node.input(i) for i in range(len(node.inputs))]
        if not inputs:
            raise node.malformed("it has no inputs.")
        return [reduce(lambda a, b: element_wise(node.builder, op, [a, b]), inputs)]

    return decode


def _mean(node: FileNode) -> Sequence[Tensor]:
    (total,) = _folded(ADD)(node)
    return [element_wise(node.builder, MUL, [total, scalar(node.builder, 1 / len(node.inputs), total)])]


def divide(builder: Builder, a: Tensor, b: Tensor) -> Tensor:
    """a / b; a product where b is a constant float, which integers can compute."""
    if builder.is_constant(b) and builder.dtype(b) is DType.FLOAT32 and not builder.is_constant(a):
        divisor = builder.array(b).astype(np.float64)
        with np.errstate(all="ignore"):
            reciprocal = (1 / divisor).astype(np.float32)
        if np.isfinite(reciprocal).all() and (reciprocal != 0).all():
            return element_wise(builder, MUL, [a, builder.constant(reciprocal)])
    return element_wise(builder, DIVIDE, [a, b])


def _divide(node: FileNode) -> Sequence[Tensor]:
    return [divide(node.builder, node.input(0), node.input(1))]


def _power(node: FileNode) -> Sequence[Tensor]:
    x, exponent = node.input(0), node.input(1)
    if node.builder.is_constant(exponent) and node.builder.value(exponent).type.elements == 1:
        value = float(node.builder.array(exponent).reshape(-1)[0])
        short = len(exponent.order) <= len(x.order)
        if short and value == 2:
            return [element_wise(node.builder, MUL, [x, x])]
        if short and value == 0.5 and node.dtype() is DType.FLOAT32:
            return [element_wise(node.builder, Elementary(Function.SQRT), [x])]
    return [element_wise(node.builder, POWER, [x, exponent])]


def _modulo(node: FileNode) -> Sequence[Tensor]:
    function = Arithmetic.FLOAT_REMAINDER if node.integer("fmod", 0) else Arithmetic.REMAINDER
    return _binary(BinaryArithmetic(function))(node)


def _bit_shift(node: FileNode) -> Sequence[Tensor]:
    directions = {"LEFT": Arithmetic.SHIFT_LEFT, "RIGHT": Arithmetic.SHIFT_RIGHT}
    direction = node.text("direction", "")
    if direction not in directions:
        raise node.malformed("its direction is neither LEFT nor RIGHT.")
    return _binary(BinaryArithmetic(directions[direction]))(node)


def _not(node: FileNode) -> Sequence[Tensor]:
    x = node.input()
    ones = node.builder.constant(np.asarray(-1).astype(node.dtype().numpy))
    return [element_wise(node.builder, BinaryArithmetic(Arithmetic.XOR), [x, ones])]


def clip(builder: Builder, x: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
    """`x` between two scalars, either of which may be absent."""
    bounds = [None if t is None or not builder.is_constant(t) else float(builder.array(t)) for t in (low, high)]
    if builder.dtype(x) is DType.FLOAT32 and bounds[0] == 0 and (high is None or bounds[1] == 6):
        return element_wise(builder, Relu() if high is None else Relu6(), [x])
    if low is not None:
        x = element_wise(builder, Maximum(), [x, low])
    return x if high is None else element_wise(builder, Minimum(), [x, high])


def _clip(node: FileNode) -> Sequence[Tensor]:
    x = node.input()
    low, high = node.optional(1), node.optional(2)
    if node.opset < 11:
        low = scalar(node.builder, node.number("min", 0), x) if node.has("min") else None
        high = scalar(node.builder, node.number("max", 0), x) if node.has("max") else None
    if any(t is not None and node.builder.shape(t) != () for t in (low, high)):
        raise node.malformed("its bounds must be scalars.")
    return [clip(node.builder, x, low, high)]


def _leaky_relu(node: FileNode) -> Sequence[Tensor]:
    return [element_wise(node.builder, LeakyRelu(node.number("alpha", 0.01)), [node.input()])]


def _elu(node: FileNode) -> Sequence[Tensor]:
    alpha = node.number("alpha", 1.0)
    op = Elu() if alpha == 1 else Elementary(Function.SCALED_ELU, (alpha, 1.0))
    return [element_wise(node.builder, op, [node.input()])]


def _gelu(node: FileNode) -> Sequence[Tensor]:
    kinds = {"none": Function.GELU, "tanh": Function.GELU_TANH}
    kind = node.text("approximate", "none")
    if kind not in kinds:
        raise node.malformed("its approximation is neither none nor tanh.")
    return [element_wise(node.builder, Elementary(kinds[kind]), [node.input()])]


def _where(node: FileNode) -> Sequence[Tensor]:
    return [element_wise(node.builder, Select(), [node.input(i) for i in range(3)], node.dtype(1))]


def _prelu(node: FileNode) -> Sequence[Tensor]:
    x, slope = node.input(0), node.input(1)
    rank = len(node.shape())
    if len(node.shape(1)) > rank:
        raise node.malformed("its slope has more dimensions than its input.")
    return [element_wise(node.builder, Prelu(), [x, slope])]


def _reciprocal(node: FileNode) -> Sequence[Tensor]:
    return [element_wise(node.builder, Elementary(Function.RECIPROCAL), [node.input()])]


def _is(predicate: Callable[[Builder, Tensor], Tensor]) -> Decoder:
    return lambda node: [predicate(node.builder, node.input())]


def _is_nan(builder: Builder, x: Tensor) -> Tensor:
    equal = element_wise(builder, Equal(), [x, x], DType.BOOL)
    return element_wise(builder, Equal(), [equal, scalar(builder, False, equal)], DType.BOOL)


def _is_inf(node: FileNode) -> Sequence[Tensor]:
    b, x = node.builder, node.input()
    infinite = [s for s, name in ((np.inf, "detect_positive"), (-np.inf, "detect_negative")) if node.integer(name, 1)]
    if not infinite:
        raise node.refused("it detects no infinity at all.")
    found = [element_wise(b, Equal(), [x, scalar(b, value, x)], DType.BOOL) for value in infinite]
    return [reduce(lambda p, q: element_wise(b, BinaryArithmetic(Arithmetic.OR), [p, q]), found)]


_LOGIC = {"And": Arithmetic.AND, "Or": Arithmetic.OR, "Xor": Arithmetic.XOR}

DECODERS: dict[str, Decoder] = {
    "Abs": same(Abs()),
    "Add": _binary(ADD),
    "BitShift": _bit_shift,
    "BitwiseNot": _not,
    "Celu": _function(Function.CELU, ("alpha", 1.0)),
    "Clip": _clip,
    "Div": _divide,
    "Elu": _elu,
    "Equal": _binary(Equal(), DType.BOOL),
    "Gelu": _gelu,
    "Greater": _binary(Greater(), DType.BOOL),
    "GreaterOrEqual": _binary(GreaterEqual(), DType.BOOL),
    "HardSigmoid": _function(Function.HARD_SIGMOID, ("alpha", 0.2), ("beta", 0.5)),
    "HardSwish": same(HardSwish()),
    "IsInf": _is_inf,
    "IsNaN": _is(_is_nan),
    "LeakyRelu": _leaky_relu,
    "Less": _binary(Less(), DType.BOOL),
    "LessOrEqual": _binary(LessEqual(), DType.BOOL),
    "Max": _folded(Maximum()),
    "Mean": _mean,
    "Min": _folded(Minimum()),
    "Mod": _modulo,
    "Mul": _binary(MUL),
    "Neg": same(Neg()),
    "Not": _not,
    "PRelu": _prelu,
    "Pow": _power,
    "Reciprocal": _reciprocal,
    "Relu": same(Relu()),
    "Selu": _function(Function.SCALED_ELU, ("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    "Shrink": _function(Function.SHRINK, ("bias", 0.0), ("lambd", 0.5)),
    "Sigmoid": same(Logistic()),
    "Sub": _binary(SUB),
    "Sum": _folded(ADD),
    "Swish": _function(Function.SWISH, ("alpha", 1.0)),
    "Tanh": same(Tanh()),
    "ThresholdedRelu": _function(Function.THRESHOLDED_RELU, ("alpha", 1.0)),
    "Where": _where,
    **{name: _binary(BinaryArithmetic(function)) for name, function in _LOGIC.items()},
    **{f"Bitwise{name}": _binary(BinaryArithmetic(function)) for name, function in _LOGIC.items()},
    **{
        name: _function(Function[name.upper()])
        for name in (
            *("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "Log"),
            *("Mish", "Round", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan"),
        )
    },
}
