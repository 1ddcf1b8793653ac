"""Bits chosen with the plan, and what brings the channels and means of a network to ranges of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.quantize.networks import FloatNetwork, samples, small_classifier
from thimble.compiler.driver.bit_costs import chip_firmware
from thimble.compiler.driver.cli import cli
from thimble.compiler.driver.fewer_bits import with_fewer_bytes
from thimble.compiler.driver.options import CompileOptions, QuantizeOptions
from thimble.compiler.driver.quantize_search import SearchKind, SearchOptions, Unit
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.ir.errors import DoesNotFit
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.reduce import Mean
from thimble.quantize.channel_ranges import join_channel_ranges
from thimble.quantize.choices import Bits, Losses, narrowable
from thimble.quantize.firmware_cost import FirmwareCost, Planned
from thimble.quantize.joint import JointSearch
from thimble.quantize.loss import loss_values, run_values
from thimble.quantize.normalize import normalize
from thimble.quantize.prices import BitsExhausted, activation_bytes
from thimble.quantize.quantizer import Method, quantize_graph
from thimble.quantize.real_form import real_form
from thimble.quantize.refit import passed_on
from thimble.quantize.regression import operand_rows, weight_matrices
from thimble.quantize.samples import walk
from thimble.quantize.weights import channels_first, weight_scales


@cache
def integers() -> Graph:
    """A small classifier in int8."""
    graph = small_classifier()
    return quantize_graph(graph, samples(graph, 48)).graph


@dataclass
class LayerByLayer:
    """Firmware whose arena is what is live and whose cycles rise where less than `fast_bytes` of it are left free."""

    fast_bytes: int
    plans: int = 0

    def planned(self, graph: Graph, limit_bytes: int | None) -> Planned:
        self.plans += 1
        live = activation_bytes(graph)(Bits())
        node = int(live.argmax())
        names = {graph.values[i].name for i in (*graph.nodes[node].inputs, *graph.nodes[node].outputs) if i is not None}
        crowded = limit_bytes is not None and live.max() > limit_bytes - self.fast_bytes
        return Planned(int(live.max()), 2000 if crowded else 1000, frozenset(names))

    def site_cycles(self, site: Site) -> float:
        return 100.0

    def site_bytes(self, site: Site) -> int:
        return sum(v.type.bytes for v in site.inputs if v is not None and v.data is not None)


def joint(firmware: LayerByLayer, sram_bytes: int | None) -> JointSearch:
    graph = integers()
    real = real_form(graph)
    tensors = narrowable(graph, real, loss_values(real))
    groups = {g[0]: {4: 0.01 * (n + 1)} for n, g in enumerate(tensors.groups)}
    losses = Losses(groups, {p: {4: 0.01} for p in tensors.layers})
    return JointSearch(graph, tensors, losses, FirmwareCost(graph, firmware), sram_bytes)


def test_tensors_are_narrowed_only_until_the_plan_fits() -> None:
    whole = LayerByLayer(0).planned(integers(), None).arena_bytes
    free = joint(LayerByLayer(0), whole)
    assert free.within(Bits(), whole) == Bits()
    tight = joint(LayerByLayer(0), whole - 60)
    bits = tight.within(Bits(), whole - 60)
    assert bits.values
    assert tight.cost.planned(bits, whole - 60).arena_bytes <= whole - 60
    for group in tight.tensors.groups:
        if bits.value(group[0]) != 8:
            wider = bits.with_group(group, 8)
            assert tight.cost.planned(wider, whole - 60).arena_bytes > whole - 60


def test_what_cannot_fit_is_refused_with_the_bytes() -> None:
    with pytest.raises(BitsExhausted, match="more than allowed") as caught:
        joint(LayerByLayer(0), 200).within(Bits(), 200)
    assert caught.value.need_bytes > 200


def test_fewer_bits_are_chosen_where_they_make_the_plan_faster() -> None:
    whole = LayerByLayer(0).planned(integers(), None).arena_bytes
    slow, fast = joint(LayerByLayer(60), whole), joint(LayerByLayer(0), whole)
    choices = slow.choices(Bits())
    assert choices[-1] == Bits()
    assert slow.cost.planned(choices[0], whole).cycles == 1000
    assert choices[0].values
    assert fast.choices(Bits()) == [Bits()]


def test_plans_and_prices_are_made_once() -> None:
    firmware = LayerByLayer(0)
    cost = FirmwareCost(integers(), firmware)
    assert cost.planned(Bits(), 1000) == cost.planned(Bits(), 1000)
    assert firmware.plans == 1
    assert cost.constant_bytes(Bits().with_layer(0, 4)) < cost.constant_bytes(Bits())


def test_chip_prices_bits_with_its_kernels() -> None:
    firmware = chip_firmware(integers(), "stm32l4r5zi")
    cost = FirmwareCost(integers(), firmware)
    plan = cost.planned(Bits(), None)
    assert plan.arena_bytes > 0
    assert plan.crowded <= {v.name for v in integers().values}
    assert cost.cycles(Bits()) > integers().macs / 4
    position = next(p for p, site in enumerate(integers().sites) if isinstance(site.op, Conv2D))
    narrow = Bits().with_layer(position, 4)
    assert cost.constant_bytes(narrow) < cost.constant_bytes(Bits())
    assert cost.cycles(narrow) != cost.cycles(Bits())


def test_limits_of_a_build_are_lowered_by_what_its_firmware_lacks() -> None:
    search = SearchOptions(SearchKind.SENSITIVITY, flash_bytes=9000, sram_bytes=4000)
    options = CompileOptions(
        max_flash_bytes=9000,
        max_sram_bytes=4000,
        quantize=QuantizeOptions(Method.FAST, np.zeros((1, 1)), search=search),
    )

    def lowered(need: int, have: int) -> SearchOptions | None:
        made = with_fewer_bytes(options, DoesNotFit("", need, have))
        return None if made is None or made.quantize is None else made.quantize.search

    assert lowered(9100, 9000) == replace(search, flash_bytes=8900)
    assert lowered(4300, 4000) == replace(search, sram_bytes=3700)
    assert lowered(9000, 4000) is None
    by_operations = replace(search, unit=Unit.BITOPS)
    assert options.quantize is not None
    other = replace(options, quantize=replace(options.quantize, search=by_operations))
    assert with_fewer_bytes(other, DoesNotFit("", 4300, 4000)) is None


def test_command_keeps_to_the_arena_asked_for(tmp_path: Path) -> None:
    model, given = tmp_path / "m.tflite", tmp_path / "c.npz"
    model.write_bytes(export_tflite(integers()))
    np.savez(given, x=samples(small_classifier(), 48).inputs[0][:, 0])
    firmware = chip_firmware(integers(), "stm32l4r5zi", CompileOptions())
    least = firmware.planned(integers(), 1).arena_bytes
    limit = least - 60
    arguments = ["quantize", model, "--calibration", given, "--search", "sensitivity", "--max-sram", limit]
    result = CliRunner().invoke(cli, [str(a) for a in (*arguments, "--json", "-o", tmp_path / "q.tflite")])
    assert result.exit_code == 0, result.output
    precision = json.loads(result.output[result.output.index("{") :])["precision"]
    assert precision["planned"]["mixed"]["arena_bytes"] <= limit < least
    assert precision["planned"]["without_constant_channels"]["arena_bytes"] > limit
    assert any(row["kind"] == "activation" and row["saved_bytes"] > 0 for row in precision["tensors"])


def depthwise_network() -> Graph:
    """A convolution with channels of very different size, a depthwise layer that reads them, and a global pool."""
    net = FloatNetwork(3)
    x = net.conv(net.input(1, 8, 8, 3), 8)
    graph = net.graph(net.depthwise(x, activation=Activation.RELU))
    weights = graph.nodes[0].inputs[1]
    assert weights is not None
    values = list(graph.values)
    sizes = np.geomspace(1, 0.2, 8, dtype=np.float32)[:, None, None, None]
    values[weights] = replace(values[weights], data=values[weights].constant * sizes)
    return replace(graph, values=tuple(values))


def test_channels_before_a_depthwise_layer_get_like_ranges() -> None:
    graph = normalize(depthwise_network())
    given = samples(graph, 8)
    made = join_channel_ranges(graph, given)
    before, after = (run_values(g, given.inputs, g.outputs)[0] for g in (graph, made))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    spreads = []
    for g in (graph, made):
        position, _, outputs = next(iter(walk(g, given.inputs)))
        assert position == 0
        peaks = channels_first(outputs[0], 4).max(axis=1)
        spreads.append(peaks.max() / peaks.min())
    assert spreads[1] < spreads[0] ** 0.3
    scales = [[weight_scales(g.sites[p], 1.0, False) for p in (0, 1)] for g in (graph, made)]
    for p, (old, new) in enumerate(zip(*scales, strict=True)):
        axis = 0 if p == 0 else 3
        rows = [channels_first(g.sites[p].input(1).constant, axis) for g in (graph, made)]
        np.testing.assert_allclose(rows[0] / old[:, None], rows[1] / new[:, None], rtol=1e-4)


def test_pools_over_whole_images_get_a_scale_of_their_own() -> None:
    graph = small_classifier()
    source = normalize(graph)
    means = [site for site in source.sites if isinstance(site.op, Mean)]
    assert len(means) == 1
    assert means[0].output().type.shape == (1, 1, 1, 16)
    given = samples(graph, 4)
    np.testing.assert_allclose(
        run_values(source, given.inputs, source.outputs)[0],
        run_values(graph, given.inputs, graph.outputs)[0],
        rtol=1e-4,
    )
    (mean,) = [site for site in integers().sites if isinstance(site.op, Mean)]
    assert mean.output().quant.scale < mean.input(0).quant.scale


def test_errors_passed_on_leave_the_sums_closer() -> None:
    source = normalize(small_classifier())
    site = source.sites[0]
    x = samples(source, 16).inputs[0]
    x = x + x.mean(axis=-1, keepdims=True) * 4  # taps that go together
    scales = weight_scales(site, 1.0, False) * 16
    own = site.input(1).constant
    nearest = np.clip(np.rint(own / scales[:, None, None, None]), -127, 127)
    passed = passed_on(site, x, scales)
    rows = operand_rows(site, x)
    rows = rows - rows.mean(axis=1, keepdims=True)

    def lost(data: np.ndarray) -> float:
        error = weight_matrices(site, data * scales[:, None, None, None] - own)
        return float(((rows @ error.swapaxes(1, 2)) ** 2).mean())

    assert passed.dtype == np.int8
    assert lost(passed) < 0.8 * lost(nearest)
