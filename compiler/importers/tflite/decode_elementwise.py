"""Decoders of element-wise operators and SOFTMAX."""

from __future__ import annotations

from tflite.AddOptions import AddOptions
from tflite.SoftmaxOptions import SoftmaxOptions
from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.softmax import Softmax


def _add(op: FileOp) -> Decoded:
    return Decoded(Add(op.activation(op.options(AddOptions).FusedActivationFunction())), (0, 1))


def _softmax(op: FileOp) -> Decoded:
    return Decoded(Softmax(float(op.options(SoftmaxOptions).Beta())), (0,))


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.ADD: _add,
    BuiltinOperator.SOFTMAX: _softmax,
}
