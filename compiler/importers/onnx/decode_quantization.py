"""Decoders of quantization: to integers, back, and products of integers."""

from __future__ import annotations

from thimble.compiler.importers.onnx.decoding import Decoder

DECODERS: dict[str, Decoder] = {}
