"""Decoders of element-wise operators and SOFTMAX."""

from __future__ import annotations

from collections.abc import Callable

from tflite.AddOptions import AddOptions
from tflite.LeakyReluOptions import LeakyReluOptions
from tflite.SoftmaxOptions import SoftmaxOptions

from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ops.abs import Abs
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.elu import Elu
from thimble.compiler.ops.hard_swish import HardSwish
from thimble.compiler.ops.leaky_relu import LeakyRelu
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.ops.rsqrt import Rsqrt
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.softmax import Softmax


def _add(op: FileOp) -> Decoded:
    return Decoded(Add(op.activation(op.options(AddOptions).FusedActivationFunction())), (0, 1))


def _softmax(op: FileOp) -> Decoded:
    return Decoded(Softmax(float(op.options(SoftmaxOptions).Beta())), (0,))


def _leaky_relu(op: FileOp) -> Decoded:
    return Decoded(LeakyRelu(float(op.options(LeakyReluOptions).Alpha())), (0,))


def _unary(operator: Callable[[], Operator]) -> Decoder:
    """A decoder of an operator of one input that has no options."""
    return lambda op: Decoded(operator(), (0,))


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.ABS: _unary(Abs),
    BuiltinOperator.ADD: _add,
    BuiltinOperator.ELU: _unary(Elu),
    BuiltinOperator.HARD_SWISH: _unary(HardSwish),
    BuiltinOperator.LEAKY_RELU: _leaky_relu,
    BuiltinOperator.LOGISTIC: _unary(Logistic),
    BuiltinOperator.RELU: _unary(Relu),
    BuiltinOperator.RELU6: _unary(Relu6),
    BuiltinOperator.RSQRT: _unary(Rsqrt),
    BuiltinOperator.SOFTMAX: _softmax,
    BuiltinOperator.TANH: _unary(Tanh),
}
