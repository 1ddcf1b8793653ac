"""Specialised kernels give the bytes of the integer reference, on the host (their portable twins) and on the target."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernels.cases import draw_cases
from tests.kernels.draws import DRAWS
from tests.kernels.harness import Case, run_on_host, run_on_target
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.select import specialise
from thimble.targets.model import load_target

LAYERS = int(os.environ.get("THIMBLE_KERNEL_LAYERS", "60"))
CORES = tuple(Core(has_fpu, winograd_bytes=1 << 20) for has_fpu in (True, False))
"""Every layer whose shape suits is made with transformed weights."""

TARGETS = (
    "stm32l4r5zi",
    *(pytest.param(name, marks=pytest.mark.full) for name in ("stm32h743zi", "stm32u575zi", "mps3-an547")),
)


def dsp_cases(operator: str, core: Core) -> list[Case]:
    """Layers with the kernels of a core with DSP instructions."""
    return draw_cases(operator, LAYERS, lambda *given: specialise(*given[:3], core, given[3]))


@pytest.mark.parametrize("operator", DRAWS)
def test_portable_twin_equals_the_reference(operator: str, tmp_path: Path) -> None:
    run_on_host(dsp_cases(operator, CORES[0]), tmp_path)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("core", CORES, ids=["fpu", "no fpu"])
@pytest.mark.parametrize("operator", DRAWS)
def test_assembly_equals_the_reference(operator: str, core: Core, target: str, tmp_path: Path) -> None:
    run_on_target(dsp_cases(operator, core), tmp_path, load_target(target))
