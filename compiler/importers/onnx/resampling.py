"""Resizing along one axis as ONNX defines it (Operators.md, Resize): a matrix of weights, or positions to copy from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.operator import Array

COORDINATE_MODES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)


@dataclass(frozen=True, slots=True)
class Resampling:
    """One axis: sizes in elements, `scale` as the model gives it, `roi` (start, end) for tf_crop_and_resize."""

    input: int
    output: int
    scale: float
    coordinates: str
    roi: tuple[float, float] = (0.0, 1.0)

    @property
    def changes(self) -> bool:
        """Whether the output is another signal than the input."""
        return self.input != self.output or self.scale != 1 or self.coordinates == "tf_crop_and_resize"

    def positions(self) -> Array:
        """Where in the input each output element lies: (output,) in float64."""
        x = np.arange(self.output, dtype=np.float64)
        if self.coordinates == "align_corners":
            length = self.input * self.scale
            return x * (self.input - 1) / (length - 1) if length != 1 else x * 0
        if self.coordinates == "asymmetric":
            return x / self.scale
        if self.coordinates == "tf_crop_and_resize":
            start, end = self.roi
            if self.output > 1:
                return start * (self.input - 1) + x * (end - start) * (self.input - 1) / (self.output - 1)
            return x * 0 + 0.5 * (start + end) * (self.input - 1)
        if self.coordinates == "pytorch_half_pixel" and self.output == 1:
            return x * 0 - 0.5
        half = (x + 0.5) / self.scale - 0.5
        if self.coordinates == "half_pixel_symmetric":
            adjustment = self.output / (self.input * self.scale)
            center = self.input / 2
            return center * (1 - adjustment) + half
        return half


def nearest(axis: Resampling, rounding: str) -> Array:
    """The input element that each output element copies: (output,) integers; -1 where that lies outside of a roi."""
    x = axis.positions()
    whole = {
        "round_prefer_floor": lambda: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda: np.floor(x + 0.5),
        "floor": lambda: np.floor(x),
        "ceil": lambda: np.ceil(x),
    }[rounding]()
    return np.clip(whole, 0, axis.input - 1).astype(np.int64)


def weights(axis: Resampling, mode: str, cubic: float, exclude_outside: bool, antialias: bool) -> Array:
    """The matrix (output, input) of float64 that resizes a signal in mode linear or cubic."""
    stretch = max(1 / axis.scale, 1.0) if antialias else 1.0
    support = (1 if mode == "linear" else 2) * stretch
    kernel = _triangle if mode == "linear" else (lambda d: _cubic(d, cubic))
    matrix = np.zeros((axis.output, axis.input))
    for row, x in enumerate(axis.positions()):
        first, last = int(np.floor(x - support)) + 1, int(np.ceil(x + support)) - 1
        if not antialias:  # a whole position still has all its neighbours, of which some have weight 0
            base = int(np.floor(x))
            first, last = (base, base + 1) if mode == "linear" else (base - 1, base + 2)
        taps = np.arange(first, last + 1)
        factors = kernel(np.abs(taps - x) / stretch)
        if exclude_outside or antialias:
            inside = (taps >= 0) & (taps < axis.input)
            if exclude_outside:
                factors = np.where(inside, factors, 0)
            factors = factors / factors.sum()
        np.add.at(matrix[row], np.clip(taps, 0, axis.input - 1), factors)
    return matrix


def _triangle(distance: Array) -> Array:
    return np.asarray(np.maximum(1 - distance, 0))


def _cubic(d: Array, a: float) -> Array:
    """Keys' cubic convolution kernel (Keys 1981, equation 4, with its parameter a)."""
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.asarray(np.where(d <= 1, near, np.where(d < 2, far, 0)))
