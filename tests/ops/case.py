"""One row of the operator table: how to draw a random model that holds one operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.types import TensorType


@dataclass(frozen=True, slots=True)
class OpCase:
    """`draw(rng)` gives the bytes of a TFLite model with one operator of random shape, options and quantization.

    `operator` is the TFLite name, `variant` tells rows of one operator apart, such as "int16" or "dilated".
    `samples(rng, input types)` gives the inputs of consecutive inferences, where random ones would not do.
    `oracle(model, samples)` gives the outputs to expect, where TFLite Micro has no kernel.
    """

    operator: str
    draw: Callable[[np.random.Generator], bytes]
    variant: str = "int8"
    samples: Callable[[np.random.Generator, Sequence[TensorType]], list[list[np.ndarray]]] | None = None
    oracle: Callable[[bytes, list[list[np.ndarray]]], list[list[np.ndarray]] | None] | None = None

    @property
    def id(self) -> str:
        """The name of the row in test reports."""
        return f"{self.operator}-{self.variant}"
