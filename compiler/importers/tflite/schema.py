"""The few enumerations of the TFLite schema that the importer names itself."""

from __future__ import annotations

from tflite.ActivationFunctionType import ActivationFunctionType as Activation
from tflite.BuiltinOperator import BuiltinOperator
from tflite.Padding import Padding
from tflite.TensorType import TensorType

__all__ = ["INT2", "Activation", "BuiltinOperator", "Padding", "TensorType", "enum_name"]

INT2 = 19
"""The code of int2 in LiteRT's schema.fbs, which the tflite package does not know yet."""


def enum_name(enumeration: type, code: int) -> str:
    """The schema's name of a code, or the number where it has none."""
    for name, value in vars(enumeration).items():
        if not name.startswith("_") and value == code:
            return name
    return f"code {code}"
