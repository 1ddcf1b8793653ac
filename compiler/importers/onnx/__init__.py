"""The ONNX importer."""

from thimble.compiler.importers.onnx.importer import import_onnx

__all__ = ["import_onnx"]
