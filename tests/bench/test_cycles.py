"""No simulated cycle count is over its record by more than 1%: a slower kernel must be recorded to land."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import bench
from tests.bench.cycles import LAYER, layer_figures, read_record, regressions
from tests.bench.kernel_layers import TARGETS, LayerCycles, layers_of, measure_layers
from tests.bench.models import measure, recorded_pairs
from thimble.compiler.ir.errors import ToolMissing

PAIRS = recorded_pairs()


@pytest.mark.parametrize(("target", "model"), PAIRS, ids=[f"{target}-{model.stem}" for target, model in PAIRS])
def test_cycles_are_not_over_the_record(target: str, model: Path) -> None:
    if not model.is_file():
        pytest.skip(f"no real models: {model} is absent (set THIMBLE_DATA)")
    try:
        report, _ = measure(model, target)
    except ToolMissing as error:
        pytest.skip(str(error))
    cycles = report["latency"]["cycles"]
    if cycles is None:
        pytest.skip(f"the simulator of {target} is not installed, so no cycles were counted")
    assert regressions({target: {model.stem: cycles}}, read_record()) == []


@pytest.mark.parametrize("target", TARGETS)
def test_layers_are_not_over_the_record(target: str) -> None:
    try:
        layers = measure_layers(target)
    except ToolMissing as error:
        pytest.skip(str(error))
    assert layers.keys() >= set(layers_of(target))
    assert regressions({target: layer_figures(layers)}, read_record()) == []


def test_the_gate_trips() -> None:
    record = {"chip": {"model": 1000}}
    assert regressions({"chip": {"model": 1010}}, record) == []
    assert regressions({"chip": {"model": 10}}, record) == []
    (slower,) = regressions({"chip": {"model": 1011}}, record)
    assert "1.1% over the record of 1,000" in slower
    (unknown,) = regressions({"chip": {"other": 1}}, record)
    assert "no record" in unknown
    assert len(regressions({"new chip": {"model": 1}}, record)) == 1


@pytest.mark.parametrize(("cycles", "code"), [(1010, 0), (1020, 1)])
def test_bench_fails_on_a_regression(
    cycles: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = {"a layer": LayerCycles("pointwise", "conv_2d_rows_dsp", 2000, cycles)}
    figures = [("stm32l4r5zi", layer_figures(layers))]
    record = {"stm32l4r5zi": {f"{LAYER}a layer": 1000}}
    monkeypatch.setattr(bench, "read_record", lambda: record)
    monkeypatch.setattr(bench, "measure_figures", lambda console: (iter(figures), layers))
    monkeypatch.setattr(bench, "measure_models", lambda: ([], []))
    assert bench.main() == code
    assert ("over the record" in capsys.readouterr().out) == bool(code)
