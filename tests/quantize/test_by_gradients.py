"""Ranges by gradients: costs that are those of real errors, and steps that lose less than one range for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.quantize.networks import FloatNetwork, many_operators, samples, small_classifier
from tests.quantize.test_quantizer import assert_equals_tflite_micro
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.activation import Activation
from thimble.compiler.passes.draft import Draft
from thimble.quantize.by_gradients import quantize_by_gradients
from thimble.quantize.calibration import Calibration, observe
from thimble.quantize.channel_steps import choose_steps
from thimble.quantize.compare import correct_biases, round_weights
from thimble.quantize.convert import convert
from thimble.quantize.decide import Scheme, decide
from thimble.quantize.equalize import scale_operand
from thimble.quantize.error_costs import ROOM, measure
from thimble.quantize.loss import Judge, is_better, run_values
from thimble.quantize.normalize import normalize
from thimble.quantize.quantizer import Method, quantize_graph

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def uneven_mobile() -> Graph:
    """Pointwise and depthwise layers whose channels differ up to thirtyfold in size."""
    net = FloatNetwork(3)
    x = net.conv(net.input(1, 8, 8, 3), 8)
    x = net.depthwise(x, activation=Activation.RELU)
    x = net.conv(x, 12, kernel=1)
    x = net.depthwise(x, activation=Activation.RELU)
    x = net.conv(x, 6, activation=Activation.NONE)
    graph = normalize(net.graph(x))
    draft, rng = Draft(graph), np.random.default_rng(1)
    for position in (0, 2):
        channels = graph.sites[position].output().type.shape[-1]
        factors = np.exp(rng.uniform(0, np.log(30), channels))
        scale_operand(draft, position, 1, factors, 0)
        scale_operand(draft, position, 2, factors, 0)
        scale_operand(draft, position + 1, 1, 1 / factors, 3)
    return draft.finish()


def shifted(graph: Graph, index: int, given: Calibration, error: Array) -> Array:
    """What the output of a graph changes by where an error is added to one activation."""
    executor_values = run_values(graph, given.inputs, [index, graph.outputs[0]])
    position = next(p for p, node in enumerate(graph.nodes) if index in node.outputs)
    values = list(graph.values)
    tail = replace(graph, nodes=graph.nodes[position + 1 :], inputs=(index,), values=tuple(values))
    moved = run_values(tail, [executor_values[0] + error], graph.outputs)[0]
    return np.asarray(moved - executor_values[1])


def test_gains_are_what_small_errors_cost() -> None:
    graph = uneven_mobile()
    given = samples(graph, 64)
    costs = measure(torch, graph, given)
    rng = np.random.default_rng(0)
    for index in (graph.nodes[0].outputs[0], graph.nodes[1].outputs[0]):
        cost, shape = costs[index], (len(given), *graph.values[index].type.shape[1:])
        step = 1e-3 * cost.peaks.max()
        error = (rng.uniform(-0.5, 0.5, shape) * step).astype(np.float32)
        found = (shifted(graph, index, given, error) ** 2).sum() / len(given)
        assert found == pytest.approx(cost.gain.sum() * step**2 / 12, rel=0.25)


def test_clipping_costs_less_with_twice_the_room() -> None:
    graph = uneven_mobile()
    for cost in measure(torch, graph, samples(graph, 32)).values():
        assert cost.clipped_whole[-1] < 0.1 * cost.clipped_whole[0]
        assert cost.clipped.shape == (len(ROOM), len(cost.peaks))
        assert (cost.clipped[-1] <= cost.clipped[0]).all()


def test_steps_keep_the_function_and_give_channels_their_own_ranges() -> None:
    graph = uneven_mobile()
    found = choose_steps(graph, measure(torch, graph, samples(graph, 32)))
    fresh = samples(graph, 16, seed=4)
    before, after = (run_values(g, fresh.inputs, g.outputs)[0] for g in (graph, found.graph))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4 * np.abs(before).max())

    def spread(made: Graph) -> float:
        values = run_values(made, fresh.inputs, [made.nodes[0].outputs[0]])[0]
        peaks = values.reshape(-1, values.shape[-1]).max(axis=0)
        return float(peaks.max() / peaks.min())

    assert spread(graph) > 5
    assert spread(found.graph) < 0.5 * spread(graph)


def test_loses_less_than_one_range_for_all_channels() -> None:
    graph = uneven_mobile()
    given, fresh = samples(graph, 64), samples(graph, 64, seed=9)
    plain = correct_biases(graph, decide(graph, observe(graph, given), Scheme()), given)
    plain = round_weights(graph, plain, given)
    felt = quantize_by_gradients(graph, given, symmetric=False)
    assert Judge(felt.graph, fresh).loss(felt.parameters) < 0.7 * Judge(graph, fresh).loss(plain)


@pytest.mark.parametrize("symmetric", [False, True])
def test_integers_equal_tflite_micro(symmetric: bool) -> None:
    graph = uneven_mobile()
    felt = quantize_by_gradients(graph, samples(graph, 16), symmetric)
    made = convert(felt.graph, felt.parameters).graph
    assert_equals_tflite_micro(made, samples(graph, 4, seed=2))


@pytest.mark.parametrize("build", [small_classifier, many_operators])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_any_number_of_samples_will_do(count: int, build: object) -> None:
    graph = normalize(build())  # type: ignore[operator]
    felt = quantize_by_gradients(graph, samples(graph, count), symmetric=False)
    wanted = Judge(felt.graph, samples(graph, 8)).loss(felt.parameters)
    assert wanted < (0.5 if count == 1 else 0.05)


def test_best_is_repeatable_and_says_how_it_came_about() -> None:
    graph = uneven_mobile()
    first, second = (quantize_graph(graph, samples(graph, 40), Method.BEST) for _ in range(2))
    assert first.steps == second.steps
    assert any(step.startswith("ranges by gradients") for step in first.steps)


def test_pictures_alone_are_mirrored() -> None:
    rng = np.random.default_rng(0)
    picture = rng.normal(size=(2, 1, 4, 5, 3)).astype(np.float32)
    mirrored = Calibration((picture,)).with_mirror_images.inputs[0]
    assert mirrored.shape == (4, 1, 4, 5, 3)
    np.testing.assert_array_equal(mirrored[::2], picture)
    np.testing.assert_array_equal(mirrored[1::2], picture[:, :, :, ::-1])
    sound = Calibration((picture[..., :1],))
    assert sound.with_mirror_images is sound


def test_few_samples_prove_little() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(1, 2, 1000)
    after = before - rng.normal(0.1, 1, 1000)
    assert is_better(after, before)
    assert not is_better(after[:9], before[:9])
    assert not is_better(before, before)
    assert not is_better(before, after)
