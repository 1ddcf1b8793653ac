"""The few enumerations of the TFLite schema that the importer names itself."""

from __future__ import annotations

from tflite.ActivationFunctionType import ActivationFunctionType as Activation
from tflite.BuiltinOperator import BuiltinOperator
from tflite.Padding import Padding
from tflite.TensorType import TensorType

__all__ = ["Activation", "BuiltinOperator", "Padding", "TensorType"]
