"""Every ONNX operator that the importer decodes itself."""

from __future__ import annotations

from thimble.compiler.importers.onnx import (
    decode_convolution,
    decode_elementwise,
    decode_matmul,
    decode_movement,
    decode_normalization,
    decode_pooling,
    decode_quantization,
    decode_reduction,
    decode_resize,
    decode_shape,
)
from thimble.compiler.importers.onnx.decoding import Decoder

DECODERS: dict[str, Decoder] = {
    **decode_convolution.DECODERS,
    **decode_elementwise.DECODERS,
    **decode_matmul.DECODERS,
    **decode_movement.DECODERS,
    **decode_normalization.DECODERS,
    **decode_pooling.DECODERS,
    **decode_quantization.DECODERS,
    **decode_reduction.DECODERS,
    **decode_resize.DECODERS,
    **decode_shape.DECODERS,
}
"""By operator type, in the default domain; others are expanded where the onnx package defines them as functions."""
