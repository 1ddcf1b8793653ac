"""Decoders of operators that keep state between inferences: SVDF and LSTM."""

from __future__ import annotations

from tflite.SVDFOptions import SVDFOptions
from tflite.UnidirectionalSequenceLSTMOptions import UnidirectionalSequenceLSTMOptions

from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import Activation, BuiltinOperator
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ops.svdf import Svdf
from thimble.compiler.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm

# Input positions of the file's LSTM (lstm_shared.h, TFLite): what is kept, and what variants add.
_LSTM_INPUTS = 24
_LSTM_KEPT = (*range(9), *range(12, 16), 18, 19)
_LSTM_VARIANTS = {
    "peephole connections": range(9, 12),
    "a projection": range(16, 18),
    "layer normalization": range(20, 24),
}


def _svdf(op: FileOp) -> Decoded:
    if len(op.inputs) != 5 or not op.has_input(3):
        raise UnsupportedOp(f"{op.source}: it must have a bias, as in TFLite Micro; convert the model with one.")
    return Decoded(Svdf(op.options(SVDFOptions).Rank()), (0, 1, 2, 3, 4))


def _lstm(op: FileOp) -> Decoded:
    if len(op.inputs) != _LSTM_INPUTS:
        raise UnsupportedOp(
            f"{op.source}: it has {len(op.inputs)} inputs, TFLite Micro takes {_LSTM_INPUTS}; convert the model anew."
        )
    for variant, positions in _LSTM_VARIANTS.items():
        if any(op.has_input(i) for i in positions):
            raise UnsupportedOp(f"{op.source}: {variant} are not supported by TFLite Micro; train a plain LSTM.")
    if not op.has_input(1) or not op.has_input(5):
        raise UnsupportedOp(f"{op.source}: coupled input and forget gates are not supported; train a plain LSTM.")
    for i in _LSTM_KEPT:
        op.input(i)
    options = op.options(UnidirectionalSequenceLSTMOptions)
    if options.FusedActivationFunction() != Activation.TANH:
        raise UnsupportedOp(f"{op.source}: the cell's activation must be tanh.")
    cell_clip = options.CellClip()
    if not cell_clip >= 0:
        raise MalformedModel(f"{op.source} has a cell clip of {cell_clip}; it must be 0 or more.")
    return Decoded(UnidirectionalSequenceLstm(bool(options.TimeMajor()), cell_clip), _LSTM_KEPT)


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.SVDF: _svdf,
    BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM: _lstm,
}
