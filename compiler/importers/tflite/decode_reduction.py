"""Decoders of pools and of reductions along axes."""

from __future__ import annotations

from tflite.Pool2DOptions import Pool2DOptions
from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D, Pool2D


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


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.AVERAGE_POOL_2D: _pool(AveragePool2D),
    BuiltinOperator.MAX_POOL_2D: _pool(MaxPool2D),
}
