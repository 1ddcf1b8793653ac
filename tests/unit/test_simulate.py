"""`thimble simulate`: any ELF, at the simulator's addresses or at the chip's own."""

from __future__ import annotations

from pathlib import Path

import pytest

import thimble
from thimble.compiler.driver import demo
from thimble.compiler.driver.profile import simulate_elf
from thimble.compiler.ir.errors import DoesNotFit, ThimbleError, UsageError
from thimble.targets.elf import read_sizes
from thimble.targets.sim.arm_timing.request import TraceRange

NAME = "fashion_mnist_int8"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulate") / "out"
    thimble.compile(demo.model_path(), "stm32f411re", out)
    return out / "build"


def test_chip_and_simulator_addresses_take_the_same_instructions(build: Path) -> None:
    chip = simulate_elf(build / f"{NAME}.elf", "stm32f411re")
    simulated = simulate_elf(build / f"{NAME}_sim.elf", "stm32f411re")
    assert chip.instructions == simulated.instructions
    assert chip.peak_stack_bytes == simulated.peak_stack_bytes
    assert chip.cycles is not None
    assert simulated.cycles == pytest.approx(chip.cycles, rel=0.02)  # literals and code lie alike, but for the bank
    assert {f.name for f in chip.functions} >= {"main", f"{NAME}_invoke", "layer_00_conv_2d"}


def test_the_same_run_twice_gives_the_same_figures(build: Path) -> None:
    first, second = (simulate_elf(build / f"{NAME}_sim.elf", "stm32f411re") for _ in range(2))
    assert first == second


def test_more_memory_than_the_machine_at_chip_addresses_has(tmp_path: Path) -> None:
    from tests.tflite_builder import ModelBuilder

    m = ModelBuilder()
    x = m.tensor((1, 400, 800, 1), scale=0.5)
    y = m.tensor((1, 400, 800, 1), scale=0.5)
    m.op("RELU", [x], [y])
    m.interface([x], [y])
    (tmp_path / "large.tflite").write_bytes(m.build())
    thimble.compile(tmp_path / "large.tflite", "stm32l4r5zi", tmp_path / "out")
    with pytest.raises(DoesNotFit, match=r"link it with sim\.ld"):
        simulate_elf(tmp_path / "out" / "build" / "large.elf", "stm32l4r5zi")


def test_trace_of_an_address_range(build: Path, tmp_path: Path) -> None:
    elf, out = build / f"{NAME}_sim.elf", tmp_path / "trace.txt"
    start = next(s.address for s in read_sizes(elf).symbols if s.name == "layer_00_conv_2d")
    simulate_elf(elf, "stm32f411re", TraceRange(start, start + 4, out))
    cycle, address, kind = out.read_text().splitlines()[0].split()
    assert int(cycle) > 0
    assert int(address, 16) == start
    assert kind


def test_what_is_no_elf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        simulate_elf(tmp_path / "absent.elf", "stm32l4r5zi")
    (tmp_path / "text.elf").write_text("not an ELF")
    with pytest.raises(ThimbleError):
        simulate_elf(tmp_path / "text.elf", "stm32l4r5zi")
