"""Float networks to integers: close to float, legal, and byte for byte what tflite-micro computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.ops.tflm_oracle import run_oracle
from tests.quantize.networks import FloatNetwork, many_operators, samples, small_classifier
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import AccuracyMissed, UnsupportedOp, UsageError
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.arg_min_max import ArgMax
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.dequantize import dequantized
from thimble.compiler.ops.executor import BatchExecutor, Executor
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reduce import ReduceMax
from thimble.compiler.ops.relu import Relu
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.sigmoid import Logistic
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.window import Padding
from thimble.compiler.passes.pipeline import run_passes
from thimble.quantize.budget import all_wide, keep_budget
from thimble.quantize.calibration import Calibration, calibration_for, observe, warnings_of
from thimble.quantize.compare import correct_biases, layer_figures
from thimble.quantize.convert import convert
from thimble.quantize.decide import Scheme, decide
from thimble.quantize.equalize import equalize
from thimble.quantize.loss import Judge, loss_values, run_values
from thimble.quantize.normalize import normalize
from thimble.quantize.parameters import store
from thimble.quantize.quantizer import Method, Quantized, quantize_graph
from thimble.quantize.refine import with_quant
from thimble.quantize.samples import alive_bytes

NETWORKS = (small_classifier, many_operators)


def silent(items, what, count):  # type: ignore[no-untyped-def]
    """No progress shown."""
    return items


def stored_inputs(graph: Graph, calibration: Calibration) -> list[np.ndarray]:
    """The samples in the integer graph's own types."""
    pairs = zip(graph.inputs, calibration.inputs, strict=True)
    return [store(x, graph.values[i].quant, graph.values[i].type.dtype) for i, x in pairs]


def assert_equals_tflite_micro(graph: Graph, calibration: Calibration) -> None:
    """The graph, written and read again, gives tflite-micro's bytes, before and after all passes."""
    model = export_tflite(graph)
    drawn = [list(sample) for sample in zip(*stored_inputs(graph, calibration), strict=True)]
    expected = run_oracle(model, drawn, len(graph.outputs))
    imported = import_tflite(model, "again")
    for candidate in (graph, imported, run_passes(imported)):
        executor = Executor(candidate)
        for sample, want in zip(drawn, expected, strict=True):
            assert [y.tobytes() for y in executor.invoke(sample)] == [y.tobytes() for y in want]


@pytest.mark.parametrize("wide", [False, True], ids=["int8", "int16"])
@pytest.mark.parametrize("build", NETWORKS)
def test_integers_equal_tflite_micro_and_are_close_to_float(build: Callable[[], Graph], wide: bool) -> None:
    graph = build()
    result = quantize_graph(graph, samples(graph))
    result = all_wide(result) if wide else result
    fresh = samples(graph, 12, seed=2)
    assert_equals_tflite_micro(result.graph, fresh)
    assert Judge(result.source, fresh).loss(result.parameters) < (1e-4 if wide else 0.01)
    for figures in layer_figures(result.source, result.parameters, fresh):
        assert figures.sqnr_db > (40 if wide else 22)


@pytest.mark.parametrize("symmetric", [False, True])
def test_interface_is_int8(symmetric: bool) -> None:
    graph = small_classifier()
    made = quantize_graph(graph, samples(graph), symmetric=symmetric).graph
    assert [made.values[i].type.dtype for i in (*made.inputs, *made.outputs)] == [DType.INT8] * 2
    zeros = {v.quant.zero_point for v in made.values if v.data is None and v.type.quant is not None}
    assert (zeros <= {0, -128}) if symmetric else len(zeros) > 2


def test_logistic_that_joins_others_is_converted() -> None:
    graph = many_operators()
    made = quantize_graph(graph, samples(graph)).graph
    assert any(isinstance(node.op, Quantize) for node in made.nodes)


def test_value_of_two_readers_keeps_its_relu() -> None:
    net = FloatNetwork()
    x = net.conv(net.input(1, 4, 4, 3), 4, activation=Activation.NONE)
    graph = net.graph(net.op(Relu(), x), x)
    assert_equals_tflite_micro(quantize_graph(graph, samples(graph)).graph, samples(graph, 4, 9))


def test_quantization_is_repeatable() -> None:
    graph = small_classifier()
    first, second = (export_tflite(quantize_graph(graph, samples(graph)).graph) for _ in range(2))
    assert first == second


def test_large_tensors_get_fewer_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    from thimble.quantize import quantizer

    graph = small_classifier()
    assert alive_bytes(graph) == 4 * (8 * 8 * (8 + 8 + 8))  # the residual sum with both of its operands
    monkeypatch.setattr(quantizer, "MOST_BYTES", 10 * alive_bytes(normalize(graph)))
    result = quantize_graph(graph, samples(graph, 30))
    assert result.steps[0] == "10 of 30 samples used"


def test_fewer_samples_are_spread_over_all() -> None:
    graph = small_classifier()
    ten = samples(graph, 10)
    np.testing.assert_array_equal(ten.spread(4).inputs[0], ten.inputs[0][[0, 2, 5, 7]])
    assert ten.spread(10) is ten


def test_bias_correction_takes_the_mean_error_away() -> None:
    graph = normalize(small_classifier(4))
    calibration = samples(graph, 64)
    parameters = decide(graph, observe(graph, calibration), Scheme())
    rng = np.random.default_rng(1)
    spoiled = {
        position: replace(weights, bias=weights.bias + rng.integers(-900, 900, weights.bias.shape).astype(np.int32))
        for position, weights in parameters.weights.items()
        if weights.bias is not None
    }
    worse = replace(parameters, weights=spoiled)
    judge = Judge(graph, samples(graph, 32, seed=5))
    corrected = correct_biases(graph, worse, calibration)
    assert judge.loss(worse) > 5 * judge.loss(parameters)
    assert judge.loss(corrected) < 1.5 * judge.loss(parameters)


def uneven() -> Graph:
    """Two layers whose channels between them differ a thousandfold in size."""
    net = FloatNetwork(7)
    x = net.input(1, 6, 6, 3)
    factors = np.logspace(-1.5, 1.5, 16)
    first, second = net.rng.normal(size=(16, 3, 3, 3)) * 0.3, net.rng.normal(size=(4, 1, 1, 16)) * 0.3
    conv = Conv2D(Activation.RELU, 1, 1, 1, 1, Padding.SAME)
    x = net.op(conv, x, net.constant(first * factors[:, None, None, None]), net.constant(np.zeros(16)))
    last = replace(conv, activation=Activation.NONE)
    return net.graph(net.op(last, x, net.constant(second / factors), net.constant(np.zeros(4))))


def test_equalization_keeps_the_function_and_lowers_the_loss() -> None:
    graph = uneven()
    even = equalize(graph)
    calibration = samples(graph, 32)
    inputs = [x.reshape(-1, *x.shape[2:]) for x in calibration.inputs]
    want, got = BatchExecutor(graph).invoke(inputs)[0], BatchExecutor(even).invoke(inputs)[0]
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)

    def loss(source: Graph) -> float:
        parameters = decide(source, observe(source, calibration), Scheme())
        return Judge(source, calibration).loss(parameters)

    assert loss(even) < loss(graph) / 4


def test_integer_models_are_refused() -> None:
    graph = small_classifier()
    made = quantize_graph(graph, samples(graph))
    with pytest.raises(UnsupportedOp, match="not a float model"):
        quantize_graph(made.graph, samples(graph))


def test_operators_without_integer_form_are_all_named() -> None:
    net = FloatNetwork()
    x = net.op(Softmax(1.0), net.input(1, 5000))
    graph = net.graph(net.op(Softmax(1.0), net.op(Relu(), x)))
    with pytest.raises(UnsupportedOp, match="at most 4095") as caught:
        quantize_graph(graph, samples(graph))
    assert len(caught.value.blockers) == 2


def test_classes_may_come_out_as_numbers() -> None:
    net = FloatNetwork()
    scores = net.op(Reshape((1, 5)), net.dense(net.input(1, 7), 5))
    largest = net.op(ArgMax(1), scores)
    net.values[largest] = replace(net.values[largest], type=TensorType((1,), DType.INT32))
    graph = net.graph(largest)
    result = quantize_graph(graph, samples(graph))
    assert_equals_tflite_micro(result.graph, samples(graph, 8, seed=2))


def test_nodes_of_constants_are_computed_before() -> None:
    net = FloatNetwork()
    doubled = net.op(Mul(Activation.NONE), net.constant(np.ones(3)), net.constant(np.full(3, 2.0)))
    graph = net.graph(net.op(Add(Activation.NONE), net.op(Logistic(), net.input(1, 3)), doubled))
    result = quantize_graph(graph, samples(graph))
    assert [node.op.name for node in result.source.nodes] == ["logistic", "add"]
    assert_equals_tflite_micro(result.graph, samples(graph, 8, seed=2))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(bad: float) -> None:
    graph = small_classifier()
    with pytest.raises(UsageError, match="not finite"):
        calibration_for(graph, [np.full((3, 8, 8, 3), bad)])


def test_warnings_name_what_is_wrong() -> None:
    graph = small_classifier()
    good = samples(graph, 40)
    assert warnings_of(graph, good) == ()
    assert "Only 3" in warnings_of(graph, good.part(slice(3)))[0]
    (constant,) = warnings_of(graph, Calibration((np.full((40, 1, 8, 8, 3), 2.0, np.float32),)))
    assert "is 2 throughout" in constant
    (repeated,) = warnings_of(graph, good.part(np.zeros(40, int)))
    assert "are the same" in repeated
    far = good.inputs[0].copy()
    far.flat[0] = 1000
    assert "reaches 1000" in warnings_of(graph, Calibration((far,)))[0]
    (scaled,) = warnings_of(graph, good, [good.inputs[0] * 255])
    assert "scaled otherwise" in scaled


def lost_decibels(result: Quantized, calibration: Calibration) -> Callable[[Graph], float]:
    """A stand-in for lost points that few samples do not make coarse: 60 dB less the logits' signal to noise ratio."""
    (point,) = loss_values(result.source)
    wanted = run_values(result.source, calibration.inputs, [point])[0]

    def drop(graph: Graph) -> float:
        (logits,) = loss_values(graph)
        got = run_values(graph, stored_inputs(graph, calibration), [logits])[0]
        noise = ((dequantized(got, graph.values[logits].quant) - wanted) ** 2).sum()
        return float(60 - 10 * np.log10((wanted**2).sum() / noise))

    return drop


def test_budget_moves_layers_to_int16_until_it_is_met() -> None:
    graph = small_classifier(3)
    calibration = samples(graph, 64)
    result = quantize_graph(graph, calibration)
    drop = lost_decibels(result, samples(graph, 100, seed=8))
    lost = drop(result.graph)
    everything = drop(all_wide(result).graph)
    assert everything < lost - 1.5
    kept = keep_budget(result, everything + 0.8, drop, calibration, lambda _: None, silent)
    assert 0 < len(kept.parameters.wide) < len(graph.nodes)
    assert drop(kept.graph) <= everything + 0.8
    assert_equals_tflite_micro(kept.graph, samples(graph, 6, seed=11))
    assert keep_budget(result, lost, drop, calibration, lambda _: None, silent).graph is result.graph


def test_budget_tries_ranges_first() -> None:
    """One layer's range is spoiled: choosing it anew is enough, so that everything stays int8."""
    graph = small_classifier(3)
    calibration = samples(graph, 64)
    good = quantize_graph(graph, calibration)
    drop = lost_decibels(good, samples(graph, 100, seed=8))
    (last,) = loss_values(good.source)
    coarse = replace(good.parameters.values[last], scales=(good.parameters.values[last].scale * 32,))
    parameters = with_quant(good.source, good.parameters, [last], coarse)
    spoiled = replace(good, parameters=parameters, graph=convert(good.source, parameters).graph)
    assert drop(spoiled.graph) > drop(good.graph) + 5
    kept = keep_budget(spoiled, drop(good.graph) + 1, drop, calibration, lambda _: None, silent)
    assert not kept.parameters.wide
    assert "ranges layer by layer" in kept.steps[-1]


def test_budget_that_cannot_be_met() -> None:
    graph = small_classifier(3)
    result = quantize_graph(graph, samples(graph))
    with pytest.raises(AccuracyMissed, match="more than the 1 allowed"):
        keep_budget(result, 1, lambda made: 50.0, samples(graph), lambda _: None, silent)


def test_layer_without_int16_form_stays_int8() -> None:
    net = FloatNetwork()
    x = net.op(ReduceMax((1, 2), False), net.conv(net.input(1, 4, 4, 3), 6))
    graph = net.graph(net.dense(x, 3))
    result = all_wide(quantize_graph(graph, samples(graph)))
    assert result.parameters.wide == {0, 2}
    assert_equals_tflite_micro(result.graph, samples(graph, 4, seed=3))


def test_learning_lowers_the_loss_and_is_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from thimble.quantize import learned

    monkeypatch.setattr(learned, "MOST_STEPS", 400)
    monkeypatch.setattr(learned, "MOST_PASSES", 400)
    graph = normalize(small_classifier(2))
    calibration = samples(graph, 64)
    parameters = decide(graph, observe(graph, calibration), Scheme())
    judge = Judge(graph, calibration)
    once, twice = (learned.learn(graph, parameters, calibration, silent).all for _ in range(2))
    assert judge.loss(once) < 0.9 * judge.loss(parameters)
    for position, weights in once.weights.items():
        assert weights.data.tobytes() == twice.weights[position].data.tobytes()
        assert np.abs(weights.data.astype(int) - parameters.weights[position].data).max() <= 1


def test_learning_is_tried_with_samples_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from thimble.quantize import learned, quantizer

    monkeypatch.setattr(learned, "FEWEST_STEPS", 20)
    monkeypatch.setattr(learned, "MOST_STEPS", 20)
    graph = small_classifier()
    few = quantize_graph(graph, samples(graph, 40), Method.BEST).steps
    assert few[-1] == "learned rounding and ranges left out: 30 samples are fewer than 200"
    monkeypatch.setattr(quantizer, "LEARNED_SAMPLES", 30)
    enough = quantize_graph(graph, samples(graph, 40), Method.BEST).steps
    assert enough[:-2] == few[:-1]
    assert enough[-2].startswith("learned ranges: loss")
    assert enough[-1].startswith("learned rounding and ranges: loss")


def test_best_works_without_pytorch_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins
    import importlib

    real = importlib.import_module

    def absent(name: str, package: str | None = None) -> object:
        if name == "torch":
            raise builtins.ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    graph = small_classifier()
    result = quantize_graph(graph, samples(graph), Method.BEST)
    assert any(step.startswith("ranges by gradients left out") and "thimble[torch]" in step for step in result.steps)
