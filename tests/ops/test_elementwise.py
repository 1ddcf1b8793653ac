"""What the operator table cannot show of element-wise operators: where TFLite Micro stops, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.host_batch import run_on_host
from tests.tflite_builder import ModelBuilder
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.graph import Site, Value
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.broadcast import broadcast_params
from thimble.compiler.ops.executor import Executor
from thimble.compiler.ops.support import check_supported

Tensor = tuple[tuple[int, ...], Any, float | None, int]


def int8(*shape: int, scale: float = 0.5, zero_point: int = 0) -> Tensor:
    return shape, np.int8, scale, zero_point


def int16(*shape: int, scale: float = 2**-15, zero_point: int = 0) -> Tensor:
    return shape, np.int16, scale, zero_point


def one_operator(code: str, inputs: list[Tensor], output: Tensor, options: str | None = None, **fields: Any) -> bytes:
    """A model of one operator."""
    m = ModelBuilder()
    tensors = [m.tensor(*tensor) for tensor in (*inputs, output)]
    m.op(code, tensors[:-1], tensors[-1:], options, **fields)
    m.interface(tensors[:-1], tensors[-1:])
    return m.build()


def run_both(model: bytes, x: np.ndarray, folder: Path) -> list[np.ndarray]:
    """The output of the integer reference and of C on the host."""
    graph = import_tflite(model, "model")
    return [Executor(graph).invoke([x])[0], run_on_host([graph], [[[x]]], folder)[0][0][0]]


def test_softmax_of_many_equal_classes_is_zero(tmp_path: Path) -> None:
    """TFLite Micro aborts from 512 equal values on; every probability is below half a step there."""
    model = one_operator(
        "SOFTMAX", [int8(1, 1000)], int8(1, 1000, scale=2**-8, zero_point=-128), "SoftmaxOptions", beta=1
    )
    for output in run_both(model, np.full((1, 1000), 7, np.int8), tmp_path):
        assert (output == -128).all()


def test_rsqrt_of_negative_values_is_the_highest_value(tmp_path: Path) -> None:
    """TFLite Micro stops with an error there; firmware has nobody to tell."""
    model = one_operator("RSQRT", [int8(4)], int8(4, scale=1 / 127))
    for output in run_both(model, np.array([-128, -1, 0, 64], np.int8), tmp_path):
        np.testing.assert_array_equal(output, [127, 127, 127, 22])


def add_site(a: tuple[int, ...], b: tuple[int, ...]) -> Site:
    inputs = tuple(Value(name, TensorType(shape, DType.INT8)) for name, shape in (("a", a), ("b", b)))
    return Site(Add(Activation.NONE), inputs, (), "operator 0 (ADD)")


@pytest.mark.parametrize(
    ("a", "b", "dims", "strides1", "strides2"),
    [
        ((2, 3, 4), (2, 3, 4), (24,), (1,), (1,)),
        ((2, 3, 4), (4,), (6, 4), (4, 1), (0, 1)),
        ((), (5, 1, 2), (10,), (0,), (1,)),
        ((2, 1, 3), (1, 4, 1), (2, 4, 3), (3, 0, 1), (0, 1, 0)),
        ((1, 1), (1,), (), (), ()),
    ],
)
def test_dimensions_that_advance_alike_are_merged(
    a: tuple[int, ...],
    b: tuple[int, ...],
    dims: tuple[int, ...],
    strides1: tuple[int, ...],
    strides2: tuple[int, ...],
) -> None:
    params = dict(broadcast_params(add_site(a, b)))
    unused = 6 - len(dims)
    assert params["dims"] == (1,) * unused + dims
    assert params["strides1"] == (0,) * unused + strides1
    assert params["strides2"] == (0,) * unused + strides2


MALFORMED: dict[str, Callable[[], bytes]] = {
    "shapes that do not broadcast": lambda: one_operator("MAXIMUM", [int8(2, 3), int8(2)], int8(2, 3)),
    "output of another shape": lambda: one_operator("MINIMUM", [int8(2, 3), int8(3)], int8(3)),
    "unary output of another shape": lambda: one_operator("RELU", [int8(2, 3)], int8(6)),
    "one input of two": lambda: one_operator("MAXIMUM", [int8(2)], int8(2)),
    "three inputs": lambda: one_operator("ADD", [int8(2)] * 3, int8(2), "AddOptions"),
    "two inputs of one": lambda: one_operator("ABS", [int8(2)] * 2, int8(2)),
    "no options": lambda: one_operator("ADD", [int8(2)] * 2, int8(2)),
}

UNSUPPORTED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "mixed types": ("one element type", lambda: one_operator("MAXIMUM", [int8(2), int16(2)], int8(2))),
    "float": (
        "It computes in float32. Input 0 must be",
        lambda: one_operator("MUL", [((2,), np.float32, None, 0)] * 2, ((2,), np.float32, None, 0), "MulOptions"),
    ),
    "sum too fine": ("2\\^19", lambda: one_operator("ADD", [int8(2)] * 2, int8(2, scale=1e-7), "AddOptions")),
    "product too fine": ("2\\^30", lambda: one_operator("MUL", [int8(2)] * 2, int8(2, scale=1e-10), "MulOptions")),
    "asymmetric int16 product": (
        "zero point 0",
        lambda: one_operator("MUL", [int16(2, zero_point=1), int16(2)], int16(2), "MulOptions"),
    ),
    "activation that TFLite Micro ignores": (
        "no fused activation",
        lambda: one_operator(
            "ADD", [((2,), np.int32, None, 0)] * 2, ((2,), np.int32, None, 0), "AddOptions", fusedActivationFunction=1
        ),
    ),
    "quantized int32": (
        "no quantization",
        lambda: one_operator("SUB", [((2,), np.int32, 0.1, 0)] * 2, ((2,), np.int32, None, 0), "SubOptions"),
    ),
    "activation bound beyond 32 bits": (
        "fused activation",
        lambda: one_operator(
            "SUB", [int8(2, scale=1e-12)] * 2, int8(2, scale=1e-12), "SubOptions", fusedActivationFunction=3
        ),
    ),
    "comparison of large scales": (
        "scales below 1",
        lambda: one_operator("LESS", [int8(2, scale=1.0), int8(2)], ((2,), np.bool_, None, 0)),
    ),
    "comparison that stores int8": ("Output 0 must be bool", lambda: one_operator("EQUAL", [int8(2)] * 2, int8(2))),
    "softmax over nothing": (
        "at least one dimension",
        lambda: one_operator("SOFTMAX", [int8()], int8(scale=2**-8, zero_point=-128), "SoftmaxOptions", beta=1),
    ),
    "softmax with another output scale": (
        "probabilities",
        lambda: one_operator("SOFTMAX", [int8(3)], int8(3, scale=2**-7, zero_point=-128), "SoftmaxOptions", beta=1),
    ),
    "softmax without a slope": (
        "beta",
        lambda: one_operator("SOFTMAX", [int8(3)], int8(3, scale=2**-8, zero_point=-128), "SoftmaxOptions", beta=0),
    ),
    "slope that is no number": (
        "numbers below",
        lambda: one_operator("LEAKY_RELU", [int8(3)], int8(3), "LeakyReluOptions", alpha=float("nan")),
    ),
    "logistic with another zero point": ("zero point -128", lambda: one_operator("LOGISTIC", [int8(3)], int8(3))),
    "hard swish too fine": ("1/128", lambda: one_operator("HARD_SWISH", [int8(3)], int8(3, scale=0.001))),
    "negative with a zero point": (
        "Zero points must be 0",
        lambda: one_operator("NEG", [int8(3, zero_point=1)], int8(3, zero_point=1)),
    ),
    "int16 slopes of PRELU": ("Input 1 must be int8", lambda: one_operator("PRELU", [int16(3)] * 2, int16(3))),
    "int16 RSQRT": ("Input 0 must be int8", lambda: one_operator("RSQRT", [int16(3)], int16(3))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_operands_that_make_no_sense_are_malformed(name: str) -> None:
    with pytest.raises(MalformedModel, match=r"operator 0 \([A-Z_0-9]+\)"):
        import_tflite(MALFORMED[name](), "refused")


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_tflite_micro_refuses_is_unsupported(name: str) -> None:
    reason, model = UNSUPPORTED[name]
    with pytest.raises(UnsupportedOp, match=reason) as caught:
        check_supported(import_tflite(model(), "refused"))
    assert "operator 0 (" in str(caught.value)
