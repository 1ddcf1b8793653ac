"""Float models in numpy: each operator, and whole models, against LiteRT; many samples at once against one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.litert_oracle import run_litert
from tests.shared_data import data_folder
from tests.tflite_builder import ModelBuilder
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ops.executor import BatchExecutor, Executor
from thimble.compiler.ops.support import check_supported

F = np.float32
Shapes = list[tuple[int, ...]]


def window(code: str, weights: tuple[int, ...], **fields: Any) -> tuple[str, Shapes, Shapes, dict[str, Any]]:
    options = "Conv2DOptions" if code == "CONV_2D" else "DepthwiseConv2DOptions"
    channels = weights[0] if code == "CONV_2D" else weights[3]
    fields = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, **fields}
    return code, [(1, 9, 8, 4)], [weights, (channels,)], {"options": options, **fields}


CASES: dict[str, tuple[str, Shapes, Shapes, dict[str, Any]]] = {
    "conv same": window("CONV_2D", (5, 3, 3, 4), padding=0, fusedActivationFunction=1),
    "conv stride": window("CONV_2D", (5, 3, 2, 4), padding=1, strideH=2, strideW=3),
    "conv dilated": window("CONV_2D", (3, 3, 3, 4), padding=0, dilationHFactor=2, dilationWFactor=2),
    "depthwise": window("DEPTHWISE_CONV_2D", (1, 3, 3, 4), padding=0, depthMultiplier=1, fusedActivationFunction=3),
    "depthwise x2": window("DEPTHWISE_CONV_2D", (1, 3, 3, 8), padding=1, depthMultiplier=2, strideH=2, strideW=2),
    "dense": ("FULLY_CONNECTED", [(3, 7)], [(5, 7), (5,)], {"options": "FullyConnectedOptions"}),
    "average": (
        "AVERAGE_POOL_2D",
        [(1, 9, 8, 4)],
        [],
        {"options": "Pool2DOptions", "filterHeight": 3, "filterWidth": 2, "strideH": 2, "strideW": 2, "padding": 0},
    ),
    "max": (
        "MAX_POOL_2D",
        [(1, 9, 8, 4)],
        [],
        {"options": "Pool2DOptions", "filterHeight": 3, "filterWidth": 2, "strideH": 2, "strideW": 2, "padding": 1},
    ),
    "add": ("ADD", [(2, 3, 4), (3, 1)], [], {"options": "AddOptions", "fusedActivationFunction": 1}),
    "sub": ("SUB", [(2, 3, 4), (4,)], [], {"options": "SubOptions"}),
    "mul": ("MUL", [(2, 3, 4), (2, 3, 4)], [], {"options": "MulOptions", "fusedActivationFunction": 3}),
    "maximum": ("MAXIMUM", [(2, 3, 4), (4,)], [], {}),
    "minimum": ("MINIMUM", [(2, 3, 4), (2, 3, 4)], [], {}),
    "squared difference": ("SQUARED_DIFFERENCE", [(2, 3), (2, 3)], [], {}),
    "prelu": ("PRELU", [(1, 3, 4, 5)], [(1, 1, 5)], {}),
    "softmax": ("SOFTMAX", [(3, 7)], [], {"options": "SoftmaxOptions", "beta": 0.7}),
    "leaky relu": ("LEAKY_RELU", [(3, 7)], [], {"options": "LeakyReluOptions", "alpha": 0.2}),
    "concatenation": ("CONCATENATION", [(2, 3), (2, 4)], [], {"options": "ConcatenationOptions", "axis": 1}),
    "batch matmul": ("BATCH_MATMUL", [(2, 3, 4), (2, 5, 4)], [], {"options": "BatchMatMulOptions", "adjY": True}),
    **{
        code.lower(): (code, [(3, 40)], [], {})
        for code in ("RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH", "ABS", "NEG")
    },
}


def single(name: str, shape: tuple[int, ...] = ()) -> tuple[bytes, list[np.ndarray]]:
    """A model of one operator whose output has `shape`, and inputs for it."""
    rng = np.random.default_rng(5)
    code, inputs, constants, fields = CASES[name]
    m = ModelBuilder()
    given = [m.tensor(shape, F) for shape in inputs]
    weights = [m.tensor(shape, F, data=rng.normal(size=shape)) for shape in constants]
    made = m.tensor(shape, F)
    options = fields.get("options")
    m.op(code, [*given, *weights], [made], options, **{k: v for k, v in fields.items() if k != "options"})
    m.interface(given, [made])
    return m.build(), [(rng.normal(size=shape) * 3).astype(F) for shape in inputs]


@pytest.mark.parametrize("name", CASES)
def test_operator_gives_what_litert_gives(name: str) -> None:
    expected = run_litert(*sample_of(single(name)))
    assert expected is not None
    model, inputs = single(name, expected[0][0].shape)  # LiteRT infers the shape; the importer wants to read it
    graph = import_tflite(model, "single")
    (ours,) = Executor(graph).invoke(inputs)
    assert ours.dtype == F
    np.testing.assert_allclose(ours, expected[0][0], rtol=1e-5, atol=1e-5)
    if name != "concatenation":  # which moves floats in firmware too
        with pytest.raises(UnsupportedOp, match="It computes in float32"):
            check_supported(graph)


def sample_of(case: tuple[bytes, list[np.ndarray]]) -> tuple[bytes, list[list[np.ndarray]]]:
    return case[0], [case[1]]


MODELS = {
    "mlperf_tiny/vww_96_float.tflite": (0, 1),
    "mlperf_tiny/ic_resnet8_float.tflite": (0, 255),
    "mlperf_tiny/ad01_fp32.tflite": (-10, 10),
    "misc/hello_world_float.tflite": (0, 6),
}


@pytest.mark.parametrize("name", MODELS)
def test_float_model_gives_what_litert_gives(name: str) -> None:
    path = data_folder() / "models" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    rng = np.random.default_rng(1)
    graph = import_tflite(path.read_bytes(), "float")
    shape = graph.values[graph.inputs[0]].type.shape
    samples = [[rng.uniform(*MODELS[name], shape).astype(F)] for _ in range(4)]
    expected = run_litert(path.read_bytes(), samples)
    assert expected is not None
    theirs = np.concatenate([outputs[0] for outputs in expected])
    ours = np.concatenate([Executor(graph).invoke(sample)[0] for sample in samples])
    (batch,) = BatchExecutor(graph).invoke([np.concatenate([sample[0] for sample in samples])])
    for result in (ours, batch):
        assert np.abs(result - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_hybrid_weights_become_the_reals_that_they_stand_for() -> None:
    rng = np.random.default_rng(2)
    m = ModelBuilder()
    stored, scales = rng.integers(-127, 128, (3, 5)), [0.1, 0.2, 0.4]
    x, y = m.tensor((2, 5), F), m.tensor((2, 3), F)
    weights = m.tensor((3, 5), np.int8, scales, [0, 0, 0], data=stored)
    m.op("FULLY_CONNECTED", [x, weights], [y], "FullyConnectedOptions")
    m.interface([x], [y])
    given = rng.normal(size=(2, 5)).astype(F)
    (ours,) = Executor(import_tflite(m.build(), "hybrid")).invoke([given])
    real = stored * np.float32(scales)[:, None]
    np.testing.assert_allclose(ours, given @ real.T.astype(F), rtol=1e-5)


def test_samples_that_mix_run_one_by_one() -> None:
    """A SOFTMAX over the samples' own dimension cannot take several of them at once."""
    m = ModelBuilder()
    x, y = m.tensor((1, 1), F), m.tensor((1,), F)
    z = m.tensor((1,), F)
    m.op("RESHAPE", [x, m.const([1])], [y], "ReshapeOptions", newShape=[1])
    m.op("SOFTMAX", [y], [z], "SoftmaxOptions", beta=1.0)
    m.interface([x], [z])
    executor = BatchExecutor(import_tflite(m.build(), "mixing"))
    (ours,) = executor.invoke([np.float32([[1], [5], [9]])])
    assert ours.tolist() == [1, 1, 1]
