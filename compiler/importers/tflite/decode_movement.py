"""Decoders of operators that move elements without computing on them."""

from __future__ import annotations

from tflite.ReshapeOptions import ReshapeOptions
from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.types import MAX_RANK
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.variables import AssignVariable, ReadVariable


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
    return op.outputs[0].type.shape


def _read_variable(op: FileOp) -> Decoded:
    return Decoded(ReadVariable(), (0,))


def _assign_variable(op: FileOp) -> Decoded:
    return Decoded(AssignVariable(), (0, 1))


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.ASSIGN_VARIABLE: _assign_variable,
    BuiltinOperator.READ_VARIABLE: _read_variable,
    BuiltinOperator.RESHAPE: _reshape,
}
