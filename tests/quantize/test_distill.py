"""Distillation of a choice of bits: what it brings on samples that it has not seen, and what it asks about images."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quantize.networks import samples, small_classifier
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.dequantize import dequantized
from thimble.quantize import distill
from thimble.quantize.choices import Bits, narrowable
from thimble.quantize.loss import loss_values, run_values
from thimble.quantize.mixed import applied, settled_grids
from thimble.quantize.parameters import store
from thimble.quantize.quantizer import quantize_graph
from thimble.quantize.real_form import real_form
from thimble.quantize.refit import NarrowWeights
from thimble.quantize.sensitivity import Fitted, Sensitivity, Widths, relative_error
from thimble.quantize.simulate import Layer
from thimble.quantize.weights import channel_axis, channels_first, per_channel


def rounded(graph: Graph) -> tuple[Sensitivity, Fitted]:
    """Activations of a small int8 network in 4 bits, and weights that were rounded to 2 and nothing more."""
    real = real_form(graph)
    tensors = narrowable(graph, real, loss_values(real))
    given = samples(small_classifier(), 256)
    measured = Sensitivity(real, tensors, settled_grids(graph), given, Widths(), lambda items, what, count: items)
    bits = Bits({i: 4 for group in tensors.groups for i in group}, dict.fromkeys(tensors.layers, 2))
    weights = {}
    for position in tensors.layers:
        site = real.sites[position]
        own, axis = site.input(1).constant, channel_axis(site)
        scales = np.abs(channels_first(own, axis)).max(axis=1) / 2
        spread = per_channel(scales, axis, own.ndim)
        data = np.clip(np.rint(own / spread), -2, 1)
        layer = Layer((data * spread).astype(np.float32), site.input(2).constant)
        weights[position] = NarrowWeights(2, data.astype(np.int8), scales, layer, own)
    return measured, Fitted(bits, measured.chosen_grids(bits), weights)


def test_distilled_integers_are_closer_on_samples_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.setattr(distill, "MOST_STEPS", 250)
    float_graph = small_classifier()
    graph = quantize_graph(float_graph, samples(float_graph, 48)).graph
    measured, given = rounded(graph)
    once, twice = (
        distill.distilled(measured, given, measured.samples, lambda items, what, count: items) for _ in range(2)
    )
    new = [store(samples(float_graph, 64, seed=77).inputs[0], graph.values[graph.inputs[0]].quant, DType.INT8)]
    points = loss_values(measured.real)

    def outputs(made: Graph) -> list[np.ndarray]:
        return [
            dequantized(x, made.values[i].quant) for i, x in zip(points, run_values(made, new, points), strict=True)
        ]

    wanted, before, after = (outputs(g) for g in (graph, applied(graph, given), applied(graph, once)))
    assert relative_error(after, wanted) < 0.2 * relative_error(before, wanted)
    for position, made in once.weights.items():
        assert np.array_equal(made.data, twice.weights[position].data)
        assert -2 <= made.data.min() < made.data.max() <= 1
        assert not np.array_equal(made.data, given.weights[position].data)
    assert once.grids != given.grids
    assert once.grids == twice.grids


def test_images_are_mirrored_and_moved_and_nothing_else_is() -> None:
    rng = np.random.default_rng(0)
    image = np.arange(32, dtype=np.float32)[None, None, :, None] + np.zeros((64, 32, 32, 3), np.float32)
    made = distill.varied(image, rng)
    found = {tuple(x[0, :, 0].astype(int).tolist()) for x in made}
    steps = np.arange(32)
    wanted = {tuple(row[np.clip(steps + move, 0, 31)].tolist()) for move in range(-2, 3) for row in (steps, 31 - steps)}
    assert len(found) > 5
    assert found <= wanted
    spectrum = rng.normal(size=(4, 49, 10, 1)).astype(np.float32)
    assert distill.varied(spectrum, rng) is spectrum
