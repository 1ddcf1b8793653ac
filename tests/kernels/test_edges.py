"""Layers at the edges of what is proved give the reference's bytes: extreme weights, biases, shifts and depths.

Sums reach powers of two or stop one before; multipliers lie between 2**-34 and 2**29, of very different size in one
layer; windows have up to 9,000 taps; inputs are among others those that make a channel's sum the largest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.cases import draw_cases
from tests.kernels.edges import EDGES
from tests.kernels.harness import Case, run_on_host, run_on_target
from tests.kernels.test_variants import any_variant
from thimble.codegen.candidates import family_of
from thimble.codegen.variants import DEFAULT
from thimble.targets.model import load_target

LAYERS = 5
MORE_LAYERS = 100
CHIPS = ("stm32l4r5zi", "mps3-an547", "stm32f207zg", "stm32g0b1re", "ibex-fast")
"""Of each family of kernels, and of each kind of core without SIMD instructions."""

REORDERED_CHIPS = ("stm32h743zi", "stm32u575zi")
"""Whose kernels are those of the first one in another order."""

COMPACT = " compact"
RUNS = (
    *((name, LAYERS) for name in (*CHIPS, CHIPS[0] + COMPACT)),
    *(
        pytest.param(name, MORE_LAYERS, marks=pytest.mark.full)
        for name in (*CHIPS, *REORDERED_CHIPS, *(chip + COMPACT for chip in (CHIPS[0], *REORDERED_CHIPS)))
    ),
)


def edge_cases(operator: str, name: str, count: int) -> list[Case]:
    """Layers with the kernels that a chip takes by itself."""
    family = family_of(load_target(name.removesuffix(COMPACT)), 1 << 20, name.endswith(COMPACT))
    assert family is not None
    return draw_cases(operator, count, lambda *given: family.make(*given, DEFAULT), EDGES)


@pytest.mark.parametrize(("name", "layers"), RUNS)
@pytest.mark.parametrize("operator", EDGES)
def test_kernels_at_the_edges_equal_the_reference(operator: str, name: str, layers: int, tmp_path: Path) -> None:
    """On the host under the sanitizers, and on the simulated chip."""
    for place in ("host", "target"):
        (tmp_path / place).mkdir()
    run_on_host(edge_cases(operator, name, layers), tmp_path / "host")
    run_on_target(edge_cases(operator, name, layers), tmp_path / "target", load_target(name.removesuffix(COMPACT)))


@pytest.mark.full
@pytest.mark.parametrize("name", ["stm32l4r5zi", *REORDERED_CHIPS, "stm32f207zg", "stm32g0b1re"])
@pytest.mark.parametrize("operator", EDGES)
def test_variants_at_the_edges_equal_the_reference(operator: str, name: str, tmp_path: Path) -> None:
    run_on_target(draw_cases(operator, MORE_LAYERS, any_variant(name), EDGES), tmp_path, load_target(name))
