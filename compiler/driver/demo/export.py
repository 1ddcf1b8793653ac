"""Quantization to int8 and the TFLite file, following TFLite's 8-bit quantization specification
(ai.google.dev/edge/litert/models/quantization_spec): weights symmetric, per output channel for convolutions
and per tensor for the classifier; activations asymmetric; bias int32 at input scale times weight scale.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thimble.compiler.driver.demo.network import CLASSES, IMAGE_CHANNELS, IMAGE_SIZE
from thimble.compiler.driver.demo.train import FoldedConv, Range, TrainedNetwork
from thimble.compiler.ir.errors import ToolMissing

_flatbuffers: Any = importlib.import_module("flatbuffers")  # it carries no type hints

_INT8_MIN, _INT8_MAX = -128, 127
_WEIGHT_MAX = 127  # weights are symmetric: -128 is not used
_BIAS_MAX = 2**30  # half of int32, so that the accumulator has room
_SCHEMA_VERSION = 3
_FILE_IDENTIFIER = b"TFL3"
_BUFFER_ALIGNMENT = 16  # `force_align` of Buffer.data in the schema

Quantized = tuple[NDArray[np.float32], NDArray[np.int64]]  # scales, zero points


def _per_tensor(scale: float, zero_point: int) -> Quantized:
    return np.array([scale], np.float32), np.array([zero_point], np.int64)


# A pixel p stands for p / 255 and becomes the int8 p - 128: the input loses nothing.
INPUT_QUANTIZATION = _per_tensor(1 / 255, _INT8_MIN)
# Fixed by the specification for SOFTMAX.
SOFTMAX_QUANTIZATION = _per_tensor(1 / 256, _INT8_MIN)


def quantize_images(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Pixels uint8 in the model's input quantization, int8, of the same shape."""
    return (images.astype(np.int16) + _INT8_MIN).astype(np.int8)


def activation_quantization(observed: Range) -> Quantized:
    """Scale and zero point that cover `observed` and represent 0 exactly."""
    low, high = min(observed[0], 0.0), max(observed[1], 0.0)
    scale = (high - low) / (_INT8_MAX - _INT8_MIN)
    zero_point = round(_INT8_MIN - low / scale)
    return _per_tensor(scale, min(max(zero_point, _INT8_MIN), _INT8_MAX))


def quantize_weight(
    weight: NDArray[np.float32], bias: NDArray[np.float32], in_scale: float, channel_axis: int | None
) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.float32]]:
    """Int8 weight, int32 bias and weight scales: one for each index of `channel_axis`, or one in all if None.

    A channel whose weights are all but 0 gets the larger scale at which its bias still fits.
    """
    other_axes = tuple(axis for axis in range(weight.ndim) if axis != channel_axis)
    peak = np.abs(weight).max(axis=other_axes if channel_axis is not None else None, keepdims=True)
    bias_peak = np.abs(bias) if channel_axis is not None else np.abs(bias).max()
    smallest = np.reshape(bias_peak / (in_scale * _BIAS_MAX), peak.shape)
    scale = np.maximum(np.maximum(peak / _WEIGHT_MAX, smallest), np.finfo(np.float32).tiny).astype(np.float32)
    quantized = np.clip(np.rint(weight / scale), -_WEIGHT_MAX, _WEIGHT_MAX).astype(np.int8)
    bias_scale = np.float32(in_scale) * scale.reshape(-1)
    return quantized, np.rint(bias / bias_scale).astype(np.int32), scale.reshape(-1)


class _Writer:
    """Builds a TFLite model of one subgraph, tensor by tensor, through the schema's object API."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]  # buffer 0 is the empty one, by convention
        self.codes: list[Any] = []
        self.operators: list[Any] = []

    def activation(self, name: str, shape: tuple[int, ...], quantization: Quantized) -> int:
        """Add an int8 tensor that is computed; returns its index."""
        return self._tensor(name, shape, self.schema.TensorType.INT8, quantization, 0, 0)

    def constant(self, name: str, data: NDArray[Any], scales: NDArray[np.float32], axis: int = 0) -> int:
        """Add a tensor of int8 or int32 with zero points 0; returns its index."""
        types = {"int8": self.schema.TensorType.INT8, "int32": self.schema.TensorType.INT32}
        self.buffers.append(_aligned_buffer(self.schema, data))
        quantization = (scales, np.zeros(len(scales), np.int64))
        kind = types[data.dtype.name]
        return self._tensor(name, data.shape, kind, quantization, len(self.buffers) - 1, axis)

    def _tensor(
        self, name: str, shape: tuple[int, ...], kind: int, quantization: Quantized, buffer: int, axis: int
    ) -> int:
        scales, zero_points = quantization
        parameters = self.schema.QuantizationParametersT(scale=scales, zeroPoint=zero_points, quantizedDimension=axis)
        tensor = self.schema.TensorT(list(shape), kind, buffer, name, parameters, hasRank=True)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, name: str, version: int, inputs: list[int], output: int, kind: str, options: Any) -> None:
        """Append operator `name` at the version at which int8 came to it; `kind` names its options' type."""
        code = getattr(self.schema.BuiltinOperator, name)
        if code not in [known.builtinCode for known in self.codes]:
            self.codes.append(self.schema.OperatorCodeT(code, version=version, builtinCode=code))
        index = [known.builtinCode for known in self.codes].index(code)
        option_type = getattr(self.schema.BuiltinOptions, kind)
        self.operators.append(self.schema.OperatorT(index, inputs, [output], option_type, options))

    def finish(self, inputs: list[int], outputs: list[int], description: str) -> bytes:
        """The file's bytes."""
        subgraph = self.schema.SubGraphT(self.tensors, inputs, outputs, self.operators, "main")
        model = self.schema.ModelT(_SCHEMA_VERSION, self.codes, [subgraph], description, self.buffers)
        builder = _flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), _FILE_IDENTIFIER)
        return bytes(builder.Output())


def _aligned_buffer(schema: Any, data: NDArray[Any]) -> Any:
    """A BufferT of `data` that packs it at the schema's alignment, which the Python object API leaves out."""

    class AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # the schema is untyped
        def Pack(self, builder: Any) -> Any:  # the object API's name
            payload = data.tobytes()
            builder.StartVector(1, len(payload), _BUFFER_ALIGNMENT)
            builder.head -= len(payload)
            builder.Bytes[builder.head : builder.head + len(payload)] = payload
            vector = builder.EndVector()
            schema.BufferStart(builder)
            schema.BufferAddData(builder, vector)
            return schema.BufferEnd(builder)

    return AlignedBuffer()


def _add_conv(writer: _Writer, conv: FoldedConv, source: int, in_scale: float) -> tuple[int, Quantized]:
    """Add CONV_2D or DEPTHWISE_CONV_2D with its constants; returns its output and that one's quantization."""
    spec, schema = conv.shape.spec, writer.schema
    depthwise = spec.kind == "depthwise"
    axis = 3 if depthwise else 0
    weight, bias, scales = quantize_weight(conv.weight, conv.bias, in_scale, axis)
    quantization = activation_quantization(conv.output_range)
    size = conv.shape.out_size
    inputs = [
        source,
        writer.constant(f"{spec.name}/weight", weight, scales, axis),
        writer.constant(f"{spec.name}/bias", bias, np.float32(in_scale) * scales),
    ]
    output = writer.activation(spec.name, (1, size, size, spec.channels), quantization)
    kind = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    options = getattr(schema, f"{kind}T")()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = spec.stride
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, spec.activation.upper())
    if depthwise:
        options.depthMultiplier = 1
    writer.operator("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", 3, inputs, output, kind, options)
    return output, quantization


def _add_head(writer: _Writer, network: TrainedNetwork, source: int, quantization: Quantized) -> int:
    """Add the global pool, whose output keeps the input's quantization, the classifier and the softmax."""
    schema = writer.schema
    size, channels = network.convs[-1].shape.out_size, network.convs[-1].shape.spec.channels
    pooled = writer.activation("pool", (1, 1, 1, channels), quantization)
    pool_options = schema.Pool2DOptionsT(schema.Padding.VALID, size, size, size, size)
    writer.operator("AVERAGE_POOL_2D", 2, [source], pooled, "Pool2DOptions", pool_options)

    in_scale = float(quantization[0][0])
    weight, bias, scales = quantize_weight(network.head_weight, network.head_bias, in_scale, None)
    inputs = [
        pooled,
        writer.constant("classifier/weight", weight, scales),
        writer.constant("classifier/bias", bias, np.float32(in_scale) * scales),
    ]
    logits = writer.activation("logits", (1, CLASSES), activation_quantization(network.logits_range))
    writer.operator("FULLY_CONNECTED", 4, inputs, logits, "FullyConnectedOptions", schema.FullyConnectedOptionsT())
    output = writer.activation("probabilities", (1, CLASSES), SOFTMAX_QUANTIZATION)
    writer.operator("SOFTMAX", 2, [logits], output, "SoftmaxOptions", schema.SoftmaxOptionsT(beta=1.0))
    return output


def export_tflite(network: TrainedNetwork) -> bytes:
    """The int8 TFLite file of `network`: from "image", int8 (1, 28, 28, 1), to "probabilities", int8 (1, 10).

    Raises ToolMissing without ai-edge-litert, whose generated schema writes the file.
    """
    try:
        schema: Any = importlib.import_module("ai_edge_litert.schema_py_generated")
    except ImportError as error:
        raise ToolMissing("the export needs ai-edge-litert: run `pip install 'thimble[verify]'`") from error
    writer = _Writer(schema)
    image_shape = (1, IMAGE_SIZE, IMAGE_SIZE, IMAGE_CHANNELS)
    image = writer.activation("image", image_shape, INPUT_QUANTIZATION)
    source, quantization = image, INPUT_QUANTIZATION
    for conv in network.convs:
        source, quantization = _add_conv(writer, conv, source, float(quantization[0][0]))
    output = _add_head(writer, network, source, quantization)
    return writer.finish([image], [output], "Fashion-MNIST classifier, int8, made by thimble's make_model")
