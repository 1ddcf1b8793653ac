"""Pointwise and depthwise convolutions in one kernel give the bytes of both, on the host and on the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.cases import draw_cases
from tests.kernels.harness import run_on_host, run_on_target
from tests.kernels.test_equal_bytes import CORES, LAYERS, MORE_LAYERS, RUNS, as_on, dsp_cases
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall
from thimble.targets.model import load_target

OPERATOR = "conv_2d_depthwise"


@pytest.mark.parametrize("layers", [LAYERS, pytest.param(MORE_LAYERS, marks=pytest.mark.full)])
def test_plain_kernel_equals_the_reference(layers: int, tmp_path: Path) -> None:
    def within(site: Site, call: KernelCall, whole: bool, limit: int | None) -> KernelCall | None:
        return call if whole and (limit is None or call.scratch_bytes <= limit) else None

    run_on_host(draw_cases(OPERATOR, layers, within), tmp_path)


@pytest.mark.parametrize("layers", [LAYERS, pytest.param(MORE_LAYERS, marks=pytest.mark.full)])
def test_portable_twin_equals_the_reference(layers: int, tmp_path: Path) -> None:
    run_on_host(dsp_cases(OPERATOR, layers, CORES["fpu"]), tmp_path)


@pytest.mark.parametrize(("target", "layers"), RUNS)
@pytest.mark.parametrize("core", ["fpu", "no fpu"])
def test_assembly_equals_the_reference(core: str, target: str, layers: int, tmp_path: Path) -> None:
    chip = load_target(target)
    run_on_target(dsp_cases(OPERATOR, layers, as_on(chip, CORES[core])), tmp_path, chip)
