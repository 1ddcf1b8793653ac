"""The searches for mixed precision: real forms, fitted layers, choices, patches written out, and files end to end."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import thimble
from tests.quantize.networks import FloatNetwork, samples, small_classifier
from thimble.compiler.driver import quantize
from thimble.compiler.driver.build_folder import import_model
from thimble.compiler.driver.cli import cli
from thimble.compiler.driver.fewer_bits import with_fewer_bytes
from thimble.compiler.driver.html_report import write_html
from thimble.compiler.driver.options import CompileOptions, QuantizeOptions
from thimble.compiler.driver.quantize_search import SearchOptions
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import DoesNotFit, ThimbleError, UnsupportedOp
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.pool_2d import AveragePool2D
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.window import Padding
from thimble.quantize.calibration import Calibration
from thimble.quantize.choices import Bits, Losses, Tensors, exchanged, frontier, lost, widened
from thimble.quantize.loss import run_values
from thimble.quantize.mixed import Limits, Mixed, Search, settled_grids
from thimble.quantize.patch_precision import narrow_patches
from thimble.quantize.patched import patched
from thimble.quantize.patches import patch_macs, patch_stage
from thimble.quantize.prices import BitsExhausted, activation_bytes, bit_operations, weight_bytes
from thimble.quantize.quantizer import Method, quantize_graph
from thimble.quantize.real_form import real_form
from thimble.quantize.refit import refit
from thimble.quantize.regression import from_matrices, is_linear, operand_rows, weight_matrices
from thimble.quantize.sensitivity import Sensitivity, Widths
from thimble.quantize.simulate import Precision, Simulation


@cache
def integers() -> Graph:
    """A small classifier in int8."""
    graph = small_classifier()
    return quantize_graph(graph, samples(graph, 48)).graph


def calibration(count: int = 64, seed: int = 9) -> Calibration:
    return samples(small_classifier(), count, seed)


def searched(limits: Limits, widths: Widths | None = None, priced: bool = True) -> Mixed:
    price = bit_operations(integers()) if priced else None
    return Search(integers(), calibration(), limits, price, widths or Widths()).run()


def stored_inputs(graph: Graph, given: Calibration) -> list[np.ndarray]:
    quant = graph.values[graph.inputs[0]].quant
    return [np.clip(np.rint(given.inputs[0] / quant.scale) + quant.zero_point, -128, 127).astype(np.int8)]


def test_real_form_simulated_in_8_bits_is_the_integer_graph() -> None:
    graph, given = integers(), calibration(16)
    made = Simulation(real_form(graph), given, Precision(settled_grids(graph)))
    wanted = run_values(graph, stored_inputs(graph, given), [node.outputs[0] for node in graph.nodes])
    for node, array in zip(graph.nodes, wanted, strict=True):
        quant = graph.values[node.outputs[0]].quant
        steps = np.rint(made.arrays[node.outputs[0]].reshape(array.shape) / quant.scale) + quant.zero_point
        assert np.abs(steps - array).max() <= 3


def test_what_is_tried_runs_no_more_than_what_it_reaches() -> None:
    graph, given = integers(), calibration(8)
    grids = settled_grids(graph)
    simulation = Simulation(real_form(graph), given, Precision(grids))
    last = graph.nodes[-2].outputs[0]
    changed = simulation.tried(Precision({**grids, last: grids[graph.nodes[0].outputs[0]]}))
    assert set(changed) == {last, graph.nodes[-1].outputs[0]}


def test_weights_as_matrices_give_the_layers_sums() -> None:
    graph = real_form(integers())
    simulation = Simulation(graph, calibration(4), Precision({}))
    checked = 0
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        if not is_linear(site):
            continue
        weights = site.input(1).constant
        matrices = weight_matrices(site, weights)
        assert np.array_equal(from_matrices(site, matrices), weights)
        sums = operand_rows(site, simulation.arrays[node.inputs[0] or 0]) @ matrices.swapaxes(1, 2)
        made = np.moveaxis(sums, 0, 1).reshape(sums.shape[1], -1) + site.input(2).constant
        wanted = simulation.arrays[node.outputs[0]].reshape(len(made), -1)
        assert np.allclose(np.maximum(made, 0), np.maximum(wanted, 0), atol=1e-4)
        checked += 1
    assert checked >= 3


@pytest.mark.parametrize("bits", [4, 2])
def test_fitted_weights_lose_less_than_rounded_ones(bits: int) -> None:
    graph = real_form(integers())
    simulation = Simulation(graph, calibration(32), Precision({}))
    position = next(p for p, site in enumerate(graph.sites) if is_linear(site))
    site, operand = graph.sites[position], simulation.arrays[graph.nodes[position].inputs[0] or 0]
    made = refit(site, operand, operand, bits)
    rows = operand_rows(site, operand)
    own = weight_matrices(site, site.input(1).constant)
    high = (1 << (bits - 1)) - 1
    scales = np.abs(own).max(axis=2, keepdims=True) / high
    nearest = np.clip(np.rint(own / scales), -high, high) * scales
    fitted = weight_matrices(site, made.layer.weights)
    centred = rows - rows.mean(axis=1, keepdims=True)

    def error(weights: np.ndarray) -> float:
        return float(((centred @ (weights - own).swapaxes(1, 2)) ** 2).mean())

    assert error(fitted) < error(nearest)
    assert np.abs(made.data).max() <= 1 << (bits - 1)


def test_frontier_is_the_best_of_all_choices_where_they_can_be_counted() -> None:
    tensors = Tensors(((0,), (1,)), (0, 1))
    losses = Losses({0: {4: 0.03}, 1: {4: 0.5}}, {0: {4: 0.2, 2: 0.9}, 1: {4: 0.01, 2: 0.02}})

    def price(bits: Bits) -> float:
        return 100.0 * bits.value(0) * bits.layer(0) + 300.0 * bits.value(1) * bits.layer(1)

    everything = [
        Bits().with_group((0,), a).with_group((1,), b).with_layer(0, c).with_layer(1, d)
        for a in (8, 4)
        for b in (8, 4)
        for c in (8, 4, 2)
        for d in (8, 4, 2)
    ]
    found = frontier(tensors, losses, price)
    assert found[0] == Bits()
    assert len(found) > 3
    for bits in found:
        better = [
            o for o in everything if price(o) < price(bits) and lost(tensors, losses, o) < lost(tensors, losses, bits)
        ]
        assert not better


def test_widened_choice_takes_what_the_price_leaves() -> None:
    tensors = Tensors(((0,), (1,)), (0, 1))
    losses = Losses({0: {4: 0.3}, 1: {4: 0.1}}, {0: {4: 0.2}, 1: {4: 0.4}})
    everything = Bits({0: 4, 1: 4}, {0: 4, 1: 4})

    def price(bits: Bits) -> float:
        return float(bits.value(0) + bits.value(1) + bits.layer(0) + bits.layer(1))

    assert widened(tensors, losses, price, everything, 16) == everything
    assert widened(tensors, losses, price, everything, 24) == Bits({1: 4}, {0: 4})
    assert widened(tensors, losses, price, everything, 32) == Bits()


def test_exchanges_find_the_best_choice_between_those_of_the_frontier() -> None:
    tensors = Tensors(((0,), (1,), (2,)), ())
    losses = Losses({0: {4: 0.1, 2: 0.5}, 1: {4: 0.2, 2: 0.3}, 2: {4: 0.4, 2: 0.6}}, {})

    def price(bits: Bits) -> float:
        return float(bits.value(0) + 2 * bits.value(1) + bits.value(2))

    for most in range(8, 33):
        everything = [Bits({i: b for i, b in enumerate(chosen) if b != 8}) for chosen in product((8, 4, 2), repeat=3)]
        allowed = [bits for bits in everything if price(bits) <= most]
        start = Bits(dict.fromkeys(range(3), 2))
        found = exchanged(tensors, losses, price, start, most)
        assert price(found) <= most
        assert lost(tensors, losses, found) == min(lost(tensors, losses, bits) for bits in allowed)


def test_search_is_cheaper_within_its_error_and_deterministic() -> None:
    one, other = searched(Limits(error=0.2)), searched(Limits(error=0.2))
    price = bit_operations(integers())
    assert price(one.bits) < 0.7 * price(Bits())
    assert 0 < one.error <= 0.2
    assert export_tflite(one.graph) == export_tflite(other.graph)
    narrow = {value.type.dtype for value in one.graph.values}
    assert DType.INT4 in narrow


def test_distilled_choice_is_kept_where_it_loses_less() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    graph, given = windows()
    price = bit_operations(graph)
    plain, learned = (
        Search(graph, given, Limits(factor=3.0), price, Widths(), wanted).run() for wanted in (False, True)
    )
    assert learned.bits == plain.bits
    assert learned.error <= plain.error
    assert "distillation" in learned.steps[-1]
    kept = "not kept" not in learned.steps[-1]
    assert kept == (export_tflite(learned.graph) != export_tflite(plain.graph))


def test_limit_of_constants_follows_the_flash_that_is_missing() -> None:
    search = SearchOptions(None, flash_bytes=40_000)
    options = CompileOptions(max_flash_bytes=40_000, quantize=QuantizeOptions(Method.FAST, "c.npz", search=search))
    smaller = with_fewer_bytes(options, DoesNotFit("flash", 45_000, 40_000))
    assert smaller is not None
    assert smaller.quantize is not None
    assert smaller.quantize.search == replace(search, flash_bytes=35_000)
    assert with_fewer_bytes(options, DoesNotFit("SRAM", 45_000, 30_000)) is None
    assert with_fewer_bytes(options, BitsExhausted("constants", 45_000, 40_000)) is None
    assert with_fewer_bytes(CompileOptions(max_flash_bytes=40_000), DoesNotFit("flash", 45_000, 40_000)) is None


def test_price_that_must_fall_does() -> None:
    price = bit_operations(integers())
    assert price(searched(Limits(factor=2.0)).bits) <= price(Bits()) / 2


def test_flash_limit_narrows_weights_alone_and_no_more_than_asked() -> None:
    constants = weight_bytes(integers())
    limit = int(constants(Bits()) * 0.8)
    made = searched(Limits(flash_bytes=limit, error=float("inf")), Widths((), (4, 2)), priced=False)
    assert not made.bits.values
    assert made.bits.layers
    assert constants(made.bits) <= limit
    assert sum(v.type.bytes for v in made.graph.values if v.data is not None) < constants(Bits())
    with pytest.raises(DoesNotFit, match="constants take"):
        searched(Limits(flash_bytes=64, error=float("inf")), Widths((), (4, 2)), priced=False)


def test_sram_limit_narrows_what_is_live_at_the_peak() -> None:
    live = activation_bytes(integers())
    limit = int(live(Bits()).max() * 0.9)
    made = searched(Limits(sram_bytes=limit, error=float("inf")), Widths((4, 2), ()), priced=False)
    assert live(made.bits).max() <= limit < live(Bits()).max()


def float_windows() -> Graph:
    """Layers of windows behind each other, with a residual sum."""
    net = FloatNetwork(3)
    x = net.conv(net.input(1, 12, 12, 3), 8)
    y = net.conv(net.depthwise(net.conv(x, 8)), 8, 1, Activation.NONE)
    x = net.conv(net.depthwise(net.op(Add(Activation.RELU), x, y), 2), 8)
    x = net.op(AveragePool2D(6, 6, 6, 6, Padding.VALID, Activation.NONE), x)
    return net.graph(net.dense(net.op(Reshape((1, 8)), x), 4))


@cache
def windows() -> tuple[Graph, Calibration]:
    """The same in int8, and calibration samples."""
    graph = float_windows()
    given = samples(graph, 32)
    return quantize_graph(graph, given).graph, given


def test_patches_written_out_give_the_same_bytes() -> None:
    graph, given = windows()
    stage = patch_stage(graph)
    written = patched(graph, stage)
    inputs = stored_inputs(graph, given)
    assert np.array_equal(
        run_values(written.graph, inputs, written.graph.outputs)[0], run_values(graph, inputs, graph.outputs)[0]
    )
    counted = sum(sum(patch_macs(graph, stage, area).values()) for area in stage.areas)
    inside = sum(graph.sites[p].op.macs(graph.sites[p]) for p in stage.nodes)
    assert written.graph.macs - graph.macs == pytest.approx(counted - inside)
    assert counted > inside


def test_patches_without_outliers_get_fewer_bits() -> None:
    graph, given = windows()
    found = narrow_patches(graph, given, (4, 2), phi=0.9999999)
    choice = found.choice
    assert choice.by_patches > bit_operations(graph)(Bits())
    for outlier, bits in zip(choice.outliers, choice.bits, strict=True):
        assert outlier == (not bits.values)
    assert not all(choice.outliers)
    assert choice.chosen < choice.by_patches
    assert {DType.INT4, DType.INT2} & {value.type.dtype for value in found.graph.values}
    every = narrow_patches(graph, given, (4, 2), phi=0.0)
    assert all(every.choice.outliers)
    assert every.choice.chosen == every.choice.by_patches


def test_patches_keep_within_sram() -> None:
    """With all weight on entropy everything stays in 8 bits, but for what a limit asks."""
    graph, given = windows()
    free = narrow_patches(graph, given, (4, 2), phi=0.99999999, weight=1.0)
    assert not any(bits.values for bits in free.choice.bits)
    tight = narrow_patches(graph, given, (4, 2), sram_bytes=700, phi=0.99999999, weight=1.0)
    assert any(bits.values for bits in tight.choice.bits)
    with pytest.raises(DoesNotFit, match="A patch takes"):
        narrow_patches(graph, given, (4, 2), sram_bytes=20, phi=0.99999999)


def test_float_graph_has_no_bits_to_search() -> None:
    with pytest.raises(UnsupportedOp, match="no quantized integers"):
        real_form(small_classifier())


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The float and the int8 classifier, and calibration samples."""
    paths = {"float": tmp_path / "f.tflite", "int8": tmp_path / "i.tflite", "calibration": tmp_path / "c.npz"}
    graph, given = windows()
    paths["float"].write_bytes(export_tflite(float_windows()))
    paths["int8"].write_bytes(export_tflite(graph))
    np.savez(paths["calibration"], x=given.inputs[0].reshape(-1, 12, 12, 3))
    return paths


def run_cli(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    error = result.exception
    code = error.exit_code if isinstance(error, ThimbleError) else result.exit_code
    return code, result.output + str(error or "")


@pytest.mark.parametrize("model", ["float", "int8"])
@pytest.mark.parametrize("search", ["sensitivity", "vdqs"])
def test_command_searches_float_and_int8_models(
    files: dict[str, Path], tmp_path: Path, model: str, search: str
) -> None:
    out = tmp_path / "q.tflite"
    given = ("--calibration", files["calibration"], "--search", search, "--json")
    code, text = run_cli("quantize", files[model], *given, "-o", out)
    assert code == 0, text
    report = json.loads(text[text.index("{") :])
    operations = report["precision"]["bit_operations"]
    assert operations["mixed"] <= operations.get("by_patches", operations["given"])
    assert import_tflite(out.read_bytes(), "q").nodes


def test_searched_model_is_compiled_and_verified(files: dict[str, Path], tmp_path: Path) -> None:
    method = "fast" if importlib.util.find_spec("torch") is None else "best"
    given = ("--quantize", method, "--calibration", files["calibration"], "--search", "sensitivity", "--reduce", "2")
    code, text = run_cli("compile", files["int8"], "-t", "stm32l4r5zi", "-o", tmp_path / "out", *given)
    assert code == 0, text
    report = thimble.verify(tmp_path / "out", samples=4)
    assert report["verify"]["mismatched_values"] == 0
    assert {row["runtime"] for row in report["verify"]["runtimes"]} >= {"host", "target"}
    assert any("distillation: " in step for step in report["quantization"]["steps"]) == (method == "best")
    tensors = report["quantization"]["precision"]["tensors"]
    assert all(row["saved_bit_operations"] > 0 for row in tensors)
    page = write_html(tmp_path / "out").read_text()
    assert f"{len(tensors)} tensors of fewer bits" in page


def test_layers_of_a_quantized_build_are_in_its_page(files: dict[str, Path], tmp_path: Path) -> None:
    given = ("--quantize", "fast", "--calibration", files["calibration"])
    code, text = run_cli("compile", files["float"], "-t", "stm32l4r5zi", "-o", tmp_path / "out", *given)
    assert code == 0, text
    layers = json.loads((tmp_path / "out" / "report.json").read_text())["quantization"]["layers"]
    page = write_html(tmp_path / "out").read_text()
    for row in layers:
        assert f'<td class="right">{row["clipped_percent"]:.2f}%</td>' in page
        assert row["sqnr_db"] is None or f'<td class="right">{row["sqnr_db"]:.1f}</td>' in page


def test_flash_limit_counts_the_code_too(files: dict[str, Path], tmp_path: Path) -> None:
    base = ("compile", files["int8"], "-t", "stm32l4r5zi", "--kernels", "c", "--json", "-o")
    code, text = run_cli(*base, tmp_path / "wide")
    assert code == 0, text
    flash = json.loads((tmp_path / "wide" / "report.json").read_text())["memory"]["flash_total_bytes"]
    low = ("--calibration", files["calibration"], "--weights", "mixed", "--fewest-bits", "2", "--max-flash")
    code, text = run_cli(*base, tmp_path / "none", *low, 200)
    assert code == 4
    assert "bytes" in text
    assert not (tmp_path / "none").exists()
    code, text = run_cli(*base, tmp_path / "same", *low, flash)
    assert code == 0, text
    assert json.loads((tmp_path / "same" / "report.json").read_text())["memory"]["flash_total_bytes"] <= flash


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_attempts_share_what_limits_do_not_change(
    kind: str, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = import_model(files[kind].read_bytes(), files[kind])
    constants = int(weight_bytes(windows()[0])(Bits()))

    def quantized(flash_bytes: int, attempts: quantize.Attempts) -> bytes:
        search = SearchOptions(None, flash_bytes=flash_bytes)
        options = QuantizeOptions(Method.FAST, files["calibration"], search=search)
        return quantize.quantize_imported(graph, options, print, lambda items, *_: items, attempts=attempts).file

    alone = quantized(constants * 3 // 4, quantize.Attempts())
    attempts = quantize.Attempts()
    assert quantized(constants * 9 // 10, attempts) != alone
    monkeypatch.setattr(quantize, "quantize_graph", None)
    monkeypatch.setattr(Sensitivity, "losses", None)
    assert quantized(constants * 3 // 4, attempts) == alone


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--search", "sensitivity"), "needs --calibration"),
        (("--reduce", "2"), "goes with --search"),
        (("--weights", "mixed", "--calibration", "CALIBRATION"), "needs --max-flash"),
        (("--search", "vdqs", "--reduce", "2", "--calibration", "CALIBRATION"), "no other limit"),
    ],
)
def test_options_that_need_each_other(files: dict[str, Path], arguments: tuple[str, ...], words: str) -> None:
    given = [files["calibration"] if a == "CALIBRATION" else a for a in arguments]
    code, text = run_cli("compile", files["int8"], "-t", "stm32l4r5zi", "--emit", "graph", *given)
    assert code == 2
    assert words in text
