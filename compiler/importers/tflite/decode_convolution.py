"""Decoders of convolutions and matrix products."""

from __future__ import annotations

from tflite.BatchMatMulOptions import BatchMatMulOptions
from tflite.Conv2DOptions import Conv2DOptions
from tflite.DepthwiseConv2DOptions import DepthwiseConv2DOptions
from tflite.FullyConnectedOptions import FullyConnectedOptions
from tflite.TransposeConvOptions import TransposeConvOptions

from thimble.compiler.importers.tflite.decoding import Decoded, Decoder, FileOp
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.graph import Role
from thimble.compiler.ops.batch_matmul import BatchMatmul
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.transpose_conv import TransposeConv


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
    return Decoded(conv, _weighted_inputs(op))


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
    return Decoded(conv, _weighted_inputs(op))


def _fully_connected(op: FileOp) -> Decoded:
    options = op.options(FullyConnectedOptions)
    if options.WeightsFormat() != 0:
        raise UnsupportedOp(f"{op.source}: shuffled weights are not supported; convert the model with plain weights.")
    activation = op.activation(options.FusedActivationFunction())
    return Decoded(FullyConnected(activation, bool(options.KeepNumDims())), _weighted_inputs(op))


def _transpose_conv(op: FileOp) -> Decoded:
    options = op.options(TransposeConvOptions)
    _check_output_shape(op)
    conv = TransposeConv(
        activation=op.activation(options.FusedActivationFunction()),
        stride_height=options.StrideH(),
        stride_width=options.StrideW(),
        padding=op.padding(options.Padding()),
    )
    return Decoded(conv, _weighted_inputs(op, (2, 1, 3)))


def _check_output_shape(op: FileOp) -> None:
    """A constant output shape must be the output's own; a computed one is ignored, as TFLite Micro does."""
    shape = op.input(0)
    if shape.role is Role.CONSTANT and op.outputs and op.integers(0, "output shape") != op.outputs[0].type.shape:
        raise MalformedModel(f"{op.source} asks for another output shape than its output tensor has.")


def _batch_matmul(op: FileOp) -> Decoded:
    options = op.options(BatchMatMulOptions)
    if len(op.inputs) != 2:
        raise MalformedModel(f"{op.source} has {len(op.inputs)} inputs; it must have 2.")
    return Decoded(BatchMatmul(bool(options.AdjX()), bool(options.AdjY())), (0, 1))


def _weighted_inputs(op: FileOp, positions: tuple[int, ...] = (0, 1, 2)) -> tuple[int, ...]:
    """The positions of input, weights and bias, without the bias where there is none."""
    bias = positions[-1]
    if not bias <= len(op.inputs) <= bias + 1:
        raise MalformedModel(f"{op.source} has {len(op.inputs)} inputs; it must have {bias} or {bias + 1}.")
    return positions if op.has_input(bias) else positions[:-1]


DECODERS: dict[int, Decoder] = {
    BuiltinOperator.BATCH_MATMUL: _batch_matmul,
    BuiltinOperator.CONV_2D: _conv_2d,
    BuiltinOperator.DEPTHWISE_CONV_2D: _depthwise_conv_2d,
    BuiltinOperator.FULLY_CONNECTED: _fully_connected,
    BuiltinOperator.TRANSPOSE_CONV: _transpose_conv,
}
