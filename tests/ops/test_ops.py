"""Every row of the operator table: tflite-micro, the integer reference and C on the host give the same bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.ops.case import OpCase
from tests.ops.equal_bytes import check_case
from tests.ops.table import CASES
from tests.ops.tflm_oracle import run_oracle
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding

MODELS_PER_ROW = int(os.environ.get("THIMBLE_OP_MODELS", "50"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_operator_equals_tflite_micro(case: OpCase, tmp_path: Path) -> None:
    def oracle(model: bytes, samples: list[list[np.ndarray]], graph: Graph) -> list[list[np.ndarray]] | None:
        return case.oracle(model, samples) if case.oracle else run_oracle(model, samples, len(graph.outputs))

    expected = check_case(case, MODELS_PER_ROW, oracle, Rounding.TFLM, tmp_path)
    assert len(expected) == MODELS_PER_ROW, "the oracle takes no such model"
    assert any(np.unique([o[0] for o in model]).size > 1 for model in expected), "every output is constant"
