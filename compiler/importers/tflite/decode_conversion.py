"""Decoders of operators that change the element type or the quantization."""

from __future__ import annotations

from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ops.cast import Cast
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.quantize import Quantize


def _without_options(operator: Operator) -> Decoder:
    """A decoder for operators whose tensors say everything; CAST's options only repeat their types."""

    def decode(op: FileOp) -> Decoded:
        return Decoded(operator, (0,))

    return decode


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.CAST: _without_options(Cast()),
    BuiltinOperator.DEQUANTIZE: _without_options(Dequantize()),
    BuiltinOperator.QUANTIZE: _without_options(Quantize()),
}
