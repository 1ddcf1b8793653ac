"""Kernels for cores without SIMD instructions give the reference's bytes, on the host and on each core."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.cases import draw_cases, operators_of
from tests.kernels.harness import Case, run_on_host, run_on_target
from thimble.codegen.scalar.core import CORES, Core, core_of
from thimble.codegen.scalar.panel import halves_hold
from thimble.codegen.scalar.select import KERNELS, specialise
from thimble.targets.model import load_target

OPERATORS = operators_of(KERNELS)
LAYERS = (12, pytest.param(200, marks=pytest.mark.full))
TARGETS = ("ibex", "ibex-fast", "stm32g0b1re", "stm32f207zg")
COMPACT = " compact"
DSP_TARGETS = ("stm32l4r5zi", "stm32l4r5zi" + COMPACT, "stm32h743zi", "stm32u575zi")
"""Chips that take these kernels where their own would need too much scratch, or prove too little."""

RUNS = (
    *((name, 12) for name in TARGETS),
    *(pytest.param(name, 200, marks=pytest.mark.full) for name in (*TARGETS[1:], *DSP_TARGETS)),
)
"""Chips with the layers that run there: more of them on the faster of the two that run the same instructions."""


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


@pytest.mark.parametrize(("target", "layers"), RUNS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_kernels_equal_the_reference(operator: str, target: str, layers: int, tmp_path: Path) -> None:
    chip = load_target(target.removesuffix(COMPACT))
    core = core_of(chip)
    assert core is not None
    core = replace(core, compact=target.endswith(COMPACT))
    run_on_target(scalar_cases(operator, layers, core), tmp_path, chip)


def test_convolutions_by_panels_and_where_they_lie_are_both_drawn() -> None:
    names = {case.call.kernel.partition("_scalar_")[0] for case in scalar_cases("conv_2d", 12, CORES["rv32im"])}
    assert names == {"conv_2d", "conv_2d_panel"}


@pytest.mark.parametrize("seed", range(20))
def test_sums_in_halves_of_a_word_are_exact(seed: int) -> None:
    """The arithmetic of panels on the worst inputs: what they make of words is the sum of either pixel."""
    rng = np.random.default_rng(seed)
    weights = rng.choice([-127, 127, *range(-9, 9)], (1, 8))
    low, high = rng.choice([-128, 127], (2, 8))
    assert halves_hold(weights, 2)
    words = (high << 16) + low
    products = (weights[0] * words).reshape(-1, 2).sum(axis=1)
    total, upper = products.sum(), ((products + 0x8000) >> 16).sum()
    assert upper == weights[0] @ high
    assert total - (upper << 16) == weights[0] @ low


@pytest.mark.parametrize(
    ("weights", "holds"),
    [([127, 127], True), ([-128, -127], True), ([-128, -128], False), ([127, -128], True), ([1, -128, -128], True)],
)
def test_halves_of_a_word_are_proved(weights: list[int], holds: bool) -> None:
    """Two taps fit 16 bits but for two weights of -128, for which an input of -128 gives 2**15."""
    assert halves_hold(np.array([weights]), 2) == holds
