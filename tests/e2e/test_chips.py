"""Every Arm chip runs the MLPerf Tiny models with the oracle's bytes, or says by how many bytes one does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import thimble
from tests.e2e.test_real_models import MLPERF, RealModel
from tests.tflite_builder import ModelBuilder
from thimble.compiler.driver import tables
from thimble.compiler.ir.errors import DoesNotFit
from thimble.targets.model import list_targets, load_target

# All five models fit all chips: the largest takes 280 KB of flash or 60 KB of RAM. Every run of the tests takes the
# smallest core, without any extension, and the one with the most; `make test-full` takes the others too.
ALWAYS = ("stm32g0b1re", "mps3-an547")
ARM_CHIPS = tuple(name for name in list_targets() if load_target(name).board == "arm_cortex_m")
OTHERS = tuple(name for name in ARM_CHIPS if name not in ALWAYS)


def check_bytes(model: RealModel, chip: str, data: Path, out: Path, samples: int) -> None:
    report = thimble.compile(data / "models" / model.path, chip, out)
    target = load_target(chip)
    assert report["memory"]["sram_total_bytes"] <= target.ram_bytes
    assert report["memory"]["flash_total_bytes"] <= target.flash_bytes
    evaluation = data / "eval" / model.data if model.data else None
    verified = thimble.verify(out, evaluation, on="target", samples=samples)["verify"]
    assert verified["samples"] == samples
    assert "target" in [runtime["runtime"] for runtime in verified["runtimes"]]
    assert verified["mismatched_values"] == 0, verified["first_mismatch"]


@pytest.mark.parametrize("model", MLPERF, ids=lambda m: m.id)
@pytest.mark.parametrize("chip", ALWAYS)
def test_mlperf_tiny(chip: str, model: RealModel, data: Path, tmp_path: Path) -> None:
    check_bytes(model, chip, data, tmp_path / "out", samples=3)


@pytest.mark.full
@pytest.mark.parametrize("model", MLPERF, ids=lambda m: m.id)
@pytest.mark.parametrize("chip", OTHERS)
def test_mlperf_tiny_on_the_other_chips(chip: str, model: RealModel, data: Path, tmp_path: Path) -> None:
    check_bytes(model, chip, data, tmp_path / "out", samples=5)


def dense_model(inputs: int, outputs: int) -> bytes:
    """One FULLY_CONNECTED: inputs x outputs bytes of weights."""
    m = ModelBuilder()
    x = m.tensor((1, inputs), np.int8, 0.5, 0)
    w = m.tensor((outputs, inputs), np.int8, 0.1, 0, data=np.ones((outputs, inputs)))
    y = m.tensor((1, outputs), np.int8, 0.5, 0)
    m.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnectedOptions")
    m.interface([x], [y])
    return m.build()


@pytest.mark.parametrize("chip", ARM_CHIPS)
def test_too_little_ram_is_told_to_the_byte(chip: str, tmp_path: Path) -> None:
    target = load_target(chip)
    (tmp_path / "wide.tflite").write_bytes(dense_model(target.ram_bytes + 4, 1))
    need = thimble.analyze(tmp_path / "wide.tflite", chip)["arena_bytes"]
    assert need > target.ram_bytes
    with pytest.raises(DoesNotFit, match=f"{need} bytes of SRAM, {need - target.ram_bytes} more than") as caught:
        thimble.compile(tmp_path / "wide.tflite", chip, tmp_path / "out")
    assert (caught.value.need_bytes, caught.value.have_bytes) == (need, target.ram_bytes)
    assert caught.value.exit_code == 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("small", "large"), [("stm32g0b1re", "rp2040")])
def test_too_little_flash_is_told_by_the_size_on_a_larger_chip(small: str, large: str, tmp_path: Path) -> None:
    (tmp_path / "heavy.tflite").write_bytes(dense_model(1000, 560))
    with pytest.raises(DoesNotFit, match=rf"does not fit {small}: it needs \d+ bytes of FLASH") as caught:
        thimble.compile(tmp_path / "heavy.tflite", small, tmp_path / "out")
    assert (caught.value.have_bytes, caught.value.exit_code) == (load_target(small).flash_bytes, 4)
    memory = thimble.compile(tmp_path / "heavy.tflite", large, tmp_path / "out")["memory"]
    boot_bytes, vector_bytes = 256, 4 * (load_target(large).interrupts - load_target(small).interrupts)
    assert abs(memory["flash_total_bytes"] - boot_bytes - vector_bytes - caught.value.need_bytes) < 16


def test_targets_take_a_line_each_on_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=80, color_system=None).print(tables.targets_table(tables.target_rows()))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[3:]]
    assert [words[0] for words in lines if words] == list(list_targets())
    assert not any("…" in word for words in lines for word in words)
    sizes = {words[0]: words[-5:-1] for words in lines if words}
    assert sizes["stm32u575zi"] == ["768", "K", "2048", "K"]
