"""Sound models that mutations start from."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.e2e.graph_draw import Choices
from tests.e2e.graph_ops import draw_model
from tests.ops.table import CASES
from tests.shared_data import real_models
from thimble.compiler.driver import demo

REAL_SHARE, GRAPHS_SHARE = 0.1, 0.25
"""Shares of mutants made from real models and from random graphs; the others come from the operator table."""


@cache
def _real() -> tuple[tuple[str, bytes], ...]:
    paths = [demo.model_path(), *real_models()]
    return tuple((path.stem, path.read_bytes()) for path in paths)


def draw_seed(rng: np.random.Generator) -> tuple[str, bytes]:
    """A model's name and bytes: a real one, a random graph, or one drawn from a row of the operator table."""
    kind = rng.random()
    if kind < REAL_SHARE:
        names = _real()
        return names[int(rng.integers(len(names)))]
    if kind < REAL_SHARE + GRAPHS_SHARE:
        return "random graph", draw_model(Choices.of(rng))
    case = CASES[int(rng.integers(len(CASES)))]
    return case.id, case.draw(rng)
