"""LiteRT's reference kernels as the oracle, for what TFLite Micro does not define."""

from __future__ import annotations

import numpy as np
import pytest


def run_litert(model: bytes, samples: list[list[np.ndarray]]) -> list[list[np.ndarray]] | None:
    """LiteRT's outputs under its reference resolver; None where it takes less than TFLite Micro."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    resolver = litert.OpResolverType.BUILTIN_REF
    results = []
    try:
        interpreter = litert.Interpreter(model_content=model, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        for sample in samples:
            for detail, array in zip(interpreter.get_input_details(), sample, strict=True):
                interpreter.set_tensor(detail["index"], array)
            interpreter.invoke()
            results.append([interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()])
    except (RuntimeError, ValueError):
        return None
    return results
