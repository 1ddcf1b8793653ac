"""Models that a reference runtime does not take are refused in one sentence, which says what can be done."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tflite_builder import ModelBuilder
from thimble.compiler.driver.data import Samples
from thimble.compiler.driver.oracle import run_oracle
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import UsageError
from thimble.compiler.ir.operator import Rounding

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")


def test_what_litert_refuses_is_told_in_a_sentence() -> None:
    m = ModelBuilder()
    x = m.tensor((1, 4, 4, 2), np.int8, 0.5, 0)
    w = m.tensor((3, 1, 1, 2), np.int8, 0.01, 0, data=np.ones((3, 1, 1, 2), np.int8))
    y = m.tensor((1, 4, 4, 3), np.int8, 0.5, 0)
    fields = {"padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    m.op("CONV_2D", [x, w, -1], [y], "Conv2DOptions", **fields)  # LiteRT wants a bias
    m.interface([x], [y])
    model = m.build()
    samples = Samples([np.zeros((1, 1, 4, 4, 2), np.int8)], None, "zeros")
    with pytest.raises(UsageError, match=r"^LiteRT refuses this model.*--rounding tflm .*tflite-micro\.$"):
        list(run_oracle(model, import_tflite(model, "layer"), samples, Rounding.LITERT))
    assert len(list(run_oracle(model, import_tflite(model, "layer"), samples, Rounding.TFLM))) == 1
