"""Sound models that mutations start from."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.ops.table import CASES
from tests.shared_data import real_models
from thimble.compiler.driver import demo

REAL_SHARE = 0.12
"""Share of mutants made from real models; the others come from the operator table, whose models are small."""


@cache
def _real() -> tuple[tuple[str, bytes], ...]:
    paths = [demo.model_path(), *real_models()]
    return tuple((path.stem, path.read_bytes()) for path in paths)


def draw_seed(rng: np.random.Generator) -> tuple[str, bytes]:
    """A model's name and bytes: a real one, or one drawn from a row of the operator table."""
    if rng.random() < REAL_SHARE:
        names = _real()
        return names[int(rng.integers(len(names)))]
    case = CASES[int(rng.integers(len(CASES)))]
    return case.id, case.draw(rng)
