"""The shipped model is the one that its record describes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest

from thimble.compiler.driver.demo import model_path, record_path, samples_path
from thimble.compiler.driver.demo.export import INPUT_QUANTIZATION, activation_quantization, quantize_weight
from thimble.compiler.driver.demo.make_model import predict
from thimble.compiler.driver.demo.network import CLASSES, network_macs

_MAX_BYTES = 100_000
_PROMISED_PERCENT = 88.0


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(record_path().read_text(encoding="utf-8"))
    return loaded


def test_file_is_the_one_measured(record: dict[str, Any]) -> None:
    model = model_path().read_bytes()
    assert hashlib.sha256(model).hexdigest() == record["sha256"]
    assert len(model) == record["bytes"] < _MAX_BYTES
    assert record["macs"] == network_macs()
    assert record["accuracy"]["test_images"] == 10_000
    assert record["accuracy"]["int8"] >= _PROMISED_PERCENT


def test_samples_are_balanced_and_in_the_input_type(record: dict[str, Any]) -> None:
    with np.load(samples_path()) as samples:
        x, y = samples["x"], samples["y"]
    assert (x.dtype, x.shape) == (np.int8, (record["samples"]["count"], 28, 28, 1))
    assert y.dtype == np.int64
    assert np.bincount(y, minlength=CLASSES).tolist() == [20] * CLASSES


def test_tflite_micro_classifies_the_samples_as_recorded(record: dict[str, Any]) -> None:
    pytest.importorskip("tflite_micro")
    with np.load(samples_path()) as samples:
        correct = predict(model_path().read_bytes(), samples["x"]) == samples["y"]
    assert int(correct.sum()) == record["samples"]["int8_correct"]


def test_model_follows_the_quantization_specification() -> None:
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = interpreter_module.Interpreter(model_content=model_path().read_bytes())
    tensors = {tensor["name"]: tensor["quantization_parameters"] for tensor in interpreter.get_tensor_details()}
    source = "image"
    for name in [tensor.removesuffix("/weight") for tensor in tensors if tensor.endswith("/weight")]:
        if name == "classifier":  # between them stands the pool, which must not requantize
            np.testing.assert_equal(tensors["pool"], tensors[source])
        weight, bias = tensors[f"{name}/weight"], tensors[f"{name}/bias"]
        assert not weight["zero_points"].any()
        np.testing.assert_allclose(bias["scales"], tensors[source]["scales"] * weight["scales"], rtol=1e-6)
        source = name
    assert tensors["image"]["scales"] == INPUT_QUANTIZATION[0]
    assert (tensors["probabilities"]["scales"], tensors["probabilities"]["zero_points"]) == (1 / 256, -128)


def test_activation_range_is_covered_and_holds_zero() -> None:
    scale, zero_point = activation_quantization((-1.0, 3.0))
    assert float(scale[0]) == pytest.approx(4 / 255)
    assert zero_point == round(-128 + 255 / 4)
    assert activation_quantization((2.0, 6.0))[1] == -128  # a range without 0 is widened to it


def test_bias_of_a_channel_without_weights_fits_in_int32() -> None:
    weight = np.array([[[[1.0]]], [[[0.0]]]], np.float32)
    bias = np.array([0.5, 3.0], np.float32)
    quantized, quantized_bias, scales = quantize_weight(weight, bias, 1e-2, 0)
    np.testing.assert_array_equal(quantized.reshape(-1), [127, 0])
    np.testing.assert_allclose(quantized_bias * scales * 1e-2, bias, rtol=1e-3)
