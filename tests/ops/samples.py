"""Inputs of operators under test."""

from __future__ import annotations

import numpy as np

from tests.ops.case import OpCase
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType, TensorType

SAMPLES_PER_MODEL = 6


def draw_input(rng: np.random.Generator, type_: TensorType, sample: int) -> np.ndarray:
    """Sample 0 is random, 1 all lowest, 2 all highest, 3 only extremes, later ones random."""
    if type_.dtype is DType.FLOAT32:
        return (rng.normal(size=type_.shape) * 10.0 ** rng.uniform(-3, 3)).astype(np.float32)
    low, high = type_.dtype.range
    if sample == 1:
        return np.full(type_.shape, low, type_.dtype.numpy)
    if sample == 2:
        return np.full(type_.shape, high, type_.dtype.numpy)
    if sample == 3:
        return np.where(rng.random(type_.shape) < 0.5, low, high).astype(type_.dtype.numpy)
    return rng.integers(low, high, type_.shape, endpoint=True).astype(type_.dtype.numpy)


def draw_samples(case: OpCase, rng: np.random.Generator, graph: Graph) -> list[list[np.ndarray]]:
    """The inputs of each inference of one model."""
    types = [graph.values[i].type for i in graph.inputs]
    if case.samples is not None:
        return case.samples(rng, types)
    return [[draw_input(rng, t, sample) for t in types] for sample in range(SAMPLES_PER_MODEL)]
