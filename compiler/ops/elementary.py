"""Functions of one real number that TFLite Micro has no integer kernel for; on int8 each is a table of 256 entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import sqrt

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, same_input_output_type
from thimble.compiler.ops.fixed_point import Int64
from thimble.compiler.ops.unary import UnaryOperator


class Function(Enum):
    """What is computed; `parameters` are those of the ONNX operator, in the order of its definition."""

    ACOS = "acos"
    ACOSH = "acosh"
    ASIN = "asin"
    ASINH = "asinh"
    ATAN = "atan"
    ATANH = "atanh"
    CEIL = "ceil"
    CELU = "celu"
    COS = "cos"
    COSH = "cosh"
    ERF = "erf"
    EXP = "exp"
    FLOOR = "floor"
    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    HARD_SIGMOID = "hard_sigmoid"
    LOG = "log"
    MISH = "mish"
    RECIPROCAL = "reciprocal"
    ROUND = "round"
    SCALED_ELU = "scaled_elu"
    SHRINK = "shrink"
    SIGN = "sign"
    SIN = "sin"
    SINH = "sinh"
    SOFTPLUS = "softplus"
    SOFTSIGN = "softsign"
    SQRT = "sqrt"
    SWISH = "swish"
    TAN = "tan"
    THRESHOLDED_RELU = "thresholded_relu"


@dataclass(frozen=True, slots=True)
class Elementary(UnaryOperator):
    """`function` of each element.

    On int8 the result is defined here: the function in float64 of scale * (q - zero_point), divided by the output's
    scale, rounded to nearest with halves to even, and saturated; no number becomes the zero point.
    """

    function: Function
    parameters: tuple[float, ...] = ()

    name = "elementary"
    constraints = (input_types(DType.INT8), same_input_output_type, per_tensor)

    def real(self, x: Array) -> Array:
        if x.dtype.kind != "f" and self.function in _KEEP_INTEGERS:
            return np.asarray(_FUNCTIONS[self.function](x))
        return np.asarray(_FUNCTIONS[self.function](x.astype(np.float64), *self.parameters))

    def compute(self, site: Site, x: Int64) -> Int64:
        source, target = site.input(0).quant, site.output().quant
        with np.errstate(all="ignore"):
            steps = np.rint(self.real((x - source.zero_point) * source.scale) / target.scale) + target.zero_point
        finite = np.nan_to_num(steps, nan=target.zero_point)
        return np.asarray(np.clip(finite, -128, 127), np.int64)


def erf(x: Array) -> Array:
    """The error function in float64, relative error below 1.2e-7 (Numerical Recipes in C, 2nd edition, section 6.2)."""
    t = 1 / (1 + 0.5 * np.abs(x))
    series = np.polynomial.Polynomial(_ERFC_CHEBYSHEV)(t)
    tail = t * np.exp(-np.square(x) + series)
    return np.asarray(np.where(x >= 0, 1 - tail, tail - 1))


_ERFC_CHEBYSHEV = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.09678418,
    -0.18628806,
    0.27886807,
    -1.13520398,
    1.48851587,
    -0.82215223,
    0.17087277,
)


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(0, x))


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


def _celu(x: Array, alpha: float) -> Array:
    return np.asarray(np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(np.minimum(x, 0) / alpha)))


def _scaled_elu(x: Array, alpha: float, gamma: float) -> Array:
    return np.asarray(gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))


def _shrink(x: Array, bias: float, threshold: float) -> Array:
    return np.asarray(np.where(x < -threshold, x + bias, np.where(x > threshold, x - bias, 0)))


_FUNCTIONS: dict[Function, Callable[..., Array]] = {
    Function.ACOS: np.arccos,
    Function.ACOSH: np.arccosh,
    Function.ASIN: np.arcsin,
    Function.ASINH: np.arcsinh,
    Function.ATAN: np.arctan,
    Function.ATANH: np.arctanh,
    Function.CEIL: np.ceil,
    Function.CELU: _celu,
    Function.COS: np.cos,
    Function.COSH: np.cosh,
    Function.ERF: erf,
    Function.EXP: np.exp,
    Function.FLOOR: np.floor,
    Function.GELU: lambda x: 0.5 * x * (1 + erf(x / sqrt(2))),
    Function.GELU_TANH: _gelu_tanh,
    Function.HARD_SIGMOID: lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    Function.LOG: np.log,
    Function.MISH: lambda x: x * np.tanh(_softplus(x)),
    Function.RECIPROCAL: lambda x: 1 / x,
    Function.ROUND: np.rint,
    Function.SCALED_ELU: _scaled_elu,
    Function.SHRINK: _shrink,
    Function.SIGN: np.sign,
    Function.SIN: np.sin,
    Function.SINH: np.sinh,
    Function.SOFTPLUS: _softplus,
    Function.SOFTSIGN: lambda x: x / (1 + np.abs(x)),
    Function.SQRT: np.sqrt,
    Function.SWISH: lambda x, alpha: x / (1 + np.exp(-alpha * x)),
    Function.TAN: np.tan,
    Function.THRESHOLDED_RELU: lambda x, alpha: np.where(x > alpha, x, 0),
}
_KEEP_INTEGERS = (Function.SIGN,)
