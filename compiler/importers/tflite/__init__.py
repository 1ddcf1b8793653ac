"""The TFLite importer."""

from thimble.compiler.importers.tflite.importer import import_tflite

__all__ = ["import_tflite"]
