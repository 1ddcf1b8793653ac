"""The ONNX importer."""

from thimble.compiler.importers.onnx.importer import import_onnx
from thimble.compiler.importers.onnx.model_file import self_contained

__all__ = ["import_onnx", "self_contained"]
