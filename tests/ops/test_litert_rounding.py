"""`--rounding litert`: convolutions and matrix products give the bytes of LiteRT's reference kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.ops.case import OpCase
from tests.ops.cases_convolution import CASES
from tests.ops.equal_bytes import check_case
from tests.ops.litert_oracle import run_litert
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding

MODELS_PER_ROW = 12


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_operator_equals_litert(case: OpCase, tmp_path: Path) -> None:
    def oracle(model: bytes, samples: list[list[np.ndarray]], graph: Graph) -> list[list[np.ndarray]] | None:
        return run_litert(model, samples)

    if not check_case(case, MODELS_PER_ROW, oracle, Rounding.LITERT, tmp_path):
        pytest.skip("LiteRT refuses what this row draws, such as CONV_2D without a bias")
