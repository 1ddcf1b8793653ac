"""Decoders of convolutions and matrix products."""

from __future__ import annotations

from tflite.Conv2DOptions import Conv2DOptions
from tflite.DepthwiseConv2DOptions import DepthwiseConv2DOptions
from tflite.FullyConnectedOptions import FullyConnectedOptions
from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected


def _conv_2d(op: FileOp) -> Decoded:
    options = op.options(Conv2DOptions)
    conv = Conv2D(
        stride_height=options.StrideH(),
        stride_width=options.StrideW(),
        dilation_height=options.DilationHFactor(),
        dilation_width=options.DilationWFactor(),
        padding=op.padding(options.Padding()),
        activation=op.activation(options.FusedActivationFunction()),
    )
    return Decoded(conv, weighted_inputs(op))


def _depthwise_conv_2d(op: FileOp) -> Decoded:
    options = op.options(DepthwiseConv2DOptions)
    conv = DepthwiseConv2D(
        stride_height=options.StrideH(),
        stride_width=options.StrideW(),
        dilation_height=options.DilationHFactor(),
        dilation_width=options.DilationWFactor(),
        padding=op.padding(options.Padding()),
        activation=op.activation(options.FusedActivationFunction()),
        multiplier=options.DepthMultiplier(),
    )
    return Decoded(conv, weighted_inputs(op))


def _fully_connected(op: FileOp) -> Decoded:
    options = op.options(FullyConnectedOptions)
    if options.WeightsFormat() != 0:
        raise UnsupportedOp(f"{op.source}: shuffled weights are not supported; convert the model with plain weights.")
    activation = op.activation(options.FusedActivationFunction())
    return Decoded(FullyConnected(activation, bool(options.KeepNumDims())), weighted_inputs(op))


def weighted_inputs(op: FileOp) -> tuple[int, ...]:
    """Positions of input, weights and, where there is one, bias."""
    return (0, 1, 2) if op.has_input(2) else (0, 1)


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.CONV_2D: _conv_2d,
    BuiltinOperator.DEPTHWISE_CONV_2D: _depthwise_conv_2d,
    BuiltinOperator.FULLY_CONNECTED: _fully_connected,
}
