"""The decoders of all families in one table."""

from __future__ import annotations

from thimble.compiler.importers.tflite import (
    decode_conversion,
    decode_convolution,
    decode_elementwise,
    decode_movement,
    decode_reduction,
    decode_sequence,
)
from thimble.compiler.importers.tflite.decoding import Decoder

_FAMILIES = (
    decode_conversion,
    decode_convolution,
    decode_elementwise,
    decode_movement,
    decode_reduction,
    decode_sequence,
)

DECODERS: dict[int, Decoder] = {code: decoder for family in _FAMILIES for code, decoder in family.DECODERS.items()}

CUSTOM_DECODERS: dict[str, Decoder] = {"thimble.has_outliers": decode_reduction.has_outliers}
"""Decoders of operators that the schema does not have, by their name in a file."""
