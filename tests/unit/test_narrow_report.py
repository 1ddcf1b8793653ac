"""What fewer bits bought, as report.json names it; and which models have a reference runtime."""

from __future__ import annotations

from tests.quantize.test_narrow import two_layers
from thimble.compiler.driver.narrow_report import narrow_tensors
from thimble.compiler.driver.oracle import has_oracle
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ir.types import DType, QuantParams
from thimble.compiler.plan.cycles import OTHERS, cycle_model, kernel_entry
from thimble.quantize.narrow import NarrowValue, narrow, narrow_weights


def test_every_narrow_tensor_is_named_with_its_bytes() -> None:
    graph = two_layers()
    form = NarrowValue(DType.INT4, QuantParams((0.8,), (0,)))
    made = narrow(graph, {0: narrow_weights(graph.sites[0], DType.INT2)}, {3: form}).graph
    weights, activation = narrow_tensors(made, Rounding.TFLM, cycle_model())
    assert (weights["kind"], weights["bits"], weights["layer"]) == ("weights", 2, 0)
    assert weights["saved_bytes"] == 5 * 3 - 5  # five channels of three weights, a byte each
    assert (activation["tensor"], activation["bytes"], activation["saved_bytes"]) == ("y0", 4 * 4 * 3, 4 * 4 * 2)


def test_models_of_int8_name_nothing() -> None:
    assert narrow_tensors(two_layers(), Rounding.TFLM, cycle_model()) == []


def test_the_reference_runtime_knows_int4_weights_alone() -> None:
    graph = two_layers()
    form = NarrowValue(DType.INT4, QuantParams((0.8,), (0,)))
    assert has_oracle(graph, Rounding.TFLM)
    assert has_oracle(narrow(graph, {0: narrow_weights(graph.sites[0], DType.INT4)}, {}).graph, Rounding.TFLM)
    assert not has_oracle(narrow(graph, {0: narrow_weights(graph.sites[0], DType.INT2)}, {}).graph, Rounding.TFLM)
    assert not has_oracle(narrow(graph, {}, {3: form}).graph, Rounding.TFLM)


def test_narrow_kernels_cost_what_those_for_int8_do() -> None:
    entries = {"conv_2d_s8": 0, "conv_2d_dsp": 0, "max_pool_2d_s8": 0}
    wanted = {
        "conv_2d_s4_w2_s8": "conv_2d_s8",
        "conv_2d_dsp_f0_w4": "conv_2d_dsp",
        "conv_2d_dsp_f0_w4_packed": "conv_2d_dsp",
        "max_pool_2d_s4": "max_pool_2d_s8",
        "softmax_s8": OTHERS,
    }
    assert {kernel: kernel_entry(kernel, entries) for kernel in wanted} == wanted
    assert kernel_entry("conv_2d_s4_w2_s8", {**entries, "conv_2d_packed": 0}) == "conv_2d_packed"
    assert kernel_entry("conv_2d_s8", {**entries, "conv_2d_packed": 0}) == "conv_2d_s8"
