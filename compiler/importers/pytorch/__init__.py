"""The importer of PyTorch's exported programs (torch.export)."""

from thimble.compiler.importers.pytorch.importer import import_pytorch, onnx_form

__all__ = ["import_pytorch", "onnx_form"]
