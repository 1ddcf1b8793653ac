"""Specialised kernels give the bytes of the integer reference, on the host (their portable twins) and on the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.cases import draw_cases
from tests.kernels.draws import DRAWS
from tests.kernels.harness import Case, run_on_host, run_on_target
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.select import specialise
from thimble.targets.model import load_target

LAYERS, MORE_LAYERS = 40, 200
"""Drawn for each operator."""

CORES = {
    "fpu": Core(has_fpu=True, winograd_bytes=1 << 20),
    "no fpu": Core(has_fpu=False, winograd_bytes=1 << 20),
    "compact": Core(has_fpu=True, compact=True),
}
"""Every layer whose shape suits is made with transformed weights, but for compact kernels."""

RUNS = (
    ("stm32l4r5zi", LAYERS),
    *(
        pytest.param(name, MORE_LAYERS, marks=pytest.mark.full)
        for name in ("stm32l4r5zi", "stm32h743zi", "stm32u575zi", "mps3-an547")
    ),
)
"""Chips, one for each core that the family is for, with the layers that run there."""


def dsp_cases(operator: str, count: int, core: Core) -> list[Case]:
    """Layers with the kernels of a core with DSP instructions."""
    return draw_cases(operator, count, lambda *given: specialise(*given[:3], core, given[3]))


@pytest.mark.parametrize("layers", [LAYERS, pytest.param(MORE_LAYERS, marks=pytest.mark.full)])
@pytest.mark.parametrize("core", ["fpu", "compact"])
@pytest.mark.parametrize("operator", DRAWS)
def test_portable_twin_equals_the_reference(operator: str, core: str, layers: int, tmp_path: Path) -> None:
    run_on_host(dsp_cases(operator, layers, CORES[core]), tmp_path)


@pytest.mark.parametrize(("target", "layers"), RUNS)
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("operator", DRAWS)
def test_assembly_equals_the_reference(operator: str, core: str, target: str, layers: int, tmp_path: Path) -> None:
    if operator == "quantize" and not CORES[core].has_fpu:
        pytest.skip("floats stay with plain C where there is no FPU")
    run_on_target(dsp_cases(operator, layers, CORES[core]), tmp_path, load_target(target))
