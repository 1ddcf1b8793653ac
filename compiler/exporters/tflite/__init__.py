"""A Graph to a TFLite file."""

from thimble.compiler.exporters.tflite.exporter import export_tflite

__all__ = ["export_tflite"]
