"""Kernels for cores without SIMD instructions give the reference's bytes, on the host and on each core."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.cases import draw_cases
from tests.kernels.harness import Case, run_on_host, run_on_target
from thimble.codegen.scalar.core import CORES, Core, core_of
from thimble.codegen.scalar.select import KERNELS, specialise
from thimble.targets.model import load_target

OPERATORS = sorted(kernel.removesuffix("_s8") for kernel in KERNELS)
LAYERS = (12, pytest.param(200, marks=pytest.mark.full))
TARGETS = ("ibex", "ibex-fast", "stm32g0b1re", "stm32f207zg")


def scalar_cases(operator: str, count: int, core: Core) -> list[Case]:
    """Cases of which every sixth, on average, may take no scratch at all."""
    limits = {512: 0}
    return draw_cases(operator, count, lambda *given: specialise(*given[:3], core, limits.get(given[3], given[3])))


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("isa", CORES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_kernels_stay_in_their_buffers(operator: str, isa: str, layers: int, tmp_path: Path) -> None:
    """The generated C is portable: here it runs under the sanitizers."""
    run_on_host(scalar_cases(operator, layers, CORES[isa]), tmp_path)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_kernels_equal_the_reference(operator: str, target: str, layers: int, tmp_path: Path) -> None:
    chip = load_target(target)
    core = core_of(chip)
    assert core is not None
    run_on_target(scalar_cases(operator, layers, core), tmp_path, chip)
