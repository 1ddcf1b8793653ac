"""TFLite Micro's reference kernels as the oracle."""

from __future__ import annotations

import numpy as np
import pytest

runtime = pytest.importorskip("tflite_micro", reason="tflite-micro is not installed").runtime

ORACLE_ARENA_BYTES = 1 << 20


def run_oracle(model: bytes, samples: list[list[np.ndarray]], outputs: int) -> list[list[np.ndarray]]:
    """tflite-micro's outputs for consecutive inferences."""
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ORACLE_ARENA_BYTES)
    results = []
    for sample in samples:
        for position, array in enumerate(sample):
            interpreter.set_input(array, position)
        interpreter.invoke()
        results.append([interpreter.get_output(i).copy() for i in range(outputs)])
    return results
