"""Decoders of element-wise operators and SOFTMAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tflite.AddOptions import AddOptions
from tflite.LeakyReluOptions import LeakyReluOptions
from tflite.MulOptions import MulOptions
from tflite.SoftmaxOptions import SoftmaxOptions
from tflite.SubOptions import SubOptions

from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ops.abs import Abs
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add, Sub
from thimble.compiler.ops.comparison import Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual
from thimble.compiler.ops.elu import Elu
from thimble.compiler.ops.hard_swish import HardSwish
from thimble.compiler.ops.leaky_relu import LeakyRelu
from thimble.compiler.ops.minimum_maximum import Maximum, Minimum
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.neg import Neg
from thimble.compiler.ops.prelu import Prelu
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.ops.rsqrt import Rsqrt
from thimble.compiler.ops.select import Select
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.squared_difference import SquaredDifference


class _Activated(Protocol):
    """An options table with a fused activation."""

    def FusedActivationFunction(self) -> int: ...


def _inputs(op: FileOp, count: int) -> tuple[int, ...]:
    """The positions of the operator's inputs, which must be `count`."""
    if len(op.inputs) != count:
        raise MalformedModel(f"{op.source} has {len(op.inputs)} inputs; it must have {count}.")
    return tuple(range(count))


def _unary(operator: Callable[[], Operator]) -> Decoder:
    """A decoder of an operator of one input that has no options."""
    return lambda op: Decoded(operator(), _inputs(op, 1))


def _binary(operator: Callable[[], Operator]) -> Decoder:
    """A decoder of an operator of two inputs that has no options."""
    return lambda op: Decoded(operator(), _inputs(op, 2))


def _activated(operator: Callable[[Activation], Operator], schema: type[_Activated]) -> Decoder:
    """A decoder of an operator of two inputs whose only option is a fused activation."""

    def decode(op: FileOp) -> Decoded:
        activation = op.activation(op.options(schema).FusedActivationFunction())
        return Decoded(operator(activation), _inputs(op, 2))

    return decode


def _leaky_relu(op: FileOp) -> Decoded:
    return Decoded(LeakyRelu(float(op.options(LeakyReluOptions).Alpha())), _inputs(op, 1))


def _softmax(op: FileOp) -> Decoded:
    return Decoded(Softmax(float(op.options(SoftmaxOptions).Beta())), _inputs(op, 1))


def _select(op: FileOp) -> Decoded:
    return Decoded(Select(), _inputs(op, 3))


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.ABS: _unary(Abs),
    BuiltinOperator.ADD: _activated(Add, AddOptions),
    BuiltinOperator.ELU: _unary(Elu),
    BuiltinOperator.EQUAL: _binary(Equal),
    BuiltinOperator.GREATER: _binary(Greater),
    BuiltinOperator.GREATER_EQUAL: _binary(GreaterEqual),
    BuiltinOperator.HARD_SWISH: _unary(HardSwish),
    BuiltinOperator.LEAKY_RELU: _leaky_relu,
    BuiltinOperator.LESS: _binary(Less),
    BuiltinOperator.LESS_EQUAL: _binary(LessEqual),
    BuiltinOperator.LOGISTIC: _unary(Logistic),
    BuiltinOperator.MAXIMUM: _binary(Maximum),
    BuiltinOperator.MINIMUM: _binary(Minimum),
    BuiltinOperator.MUL: _activated(Mul, MulOptions),
    BuiltinOperator.NEG: _unary(Neg),
    BuiltinOperator.NOT_EQUAL: _binary(NotEqual),
    BuiltinOperator.PRELU: _binary(Prelu),
    BuiltinOperator.RELU: _unary(Relu),
    BuiltinOperator.RELU6: _unary(Relu6),
    BuiltinOperator.RSQRT: _unary(Rsqrt),
    BuiltinOperator.SELECT_V2: _select,
    BuiltinOperator.SOFTMAX: _softmax,
    BuiltinOperator.SQUARED_DIFFERENCE: _binary(SquaredDifference),
    BuiltinOperator.SUB: _activated(Sub, SubOptions),
    BuiltinOperator.TANH: _unary(Tanh),
}
