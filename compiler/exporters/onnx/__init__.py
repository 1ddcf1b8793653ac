"""An integer Graph to an ONNX file of QuantizeLinear and DequantizeLinear pairs."""

from thimble.compiler.exporters.onnx.exporter import export_qdq

__all__ = ["export_qdq"]
