"""Pointwise and depthwise convolutions in one kernel give the bytes of both, on the host and on the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.cases import draw_cases
from tests.kernels.edges import FUSED_EDGES
from tests.kernels.harness import run_on_host, run_on_target
from tests.kernels.test_equal_bytes import CORES, FULL_CHIPS, LAYERS, MORE_LAYERS, as_on, dsp_cases, runs_on
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall
from thimble.targets.model import load_target

OPERATOR = "conv_2d_depthwise"
EDGE_LAYERS = 25


@pytest.mark.parametrize("layers", [LAYERS, pytest.param(MORE_LAYERS, marks=pytest.mark.full)])
def test_plain_kernel_equals_the_reference(layers: int, tmp_path: Path) -> None:
    def within(site: Site, call: KernelCall, whole: bool, limit: int | None) -> KernelCall | None:
        return call if whole and (limit is None or call.scratch_bytes <= limit) else None

    run_on_host(draw_cases(OPERATOR, layers, within), tmp_path)


@pytest.mark.parametrize("layers", [LAYERS, pytest.param(MORE_LAYERS, marks=pytest.mark.full)])
def test_portable_twin_equals_the_reference(layers: int, tmp_path: Path) -> None:
    run_on_host(dsp_cases(OPERATOR, layers, CORES["fpu"]), tmp_path)


@pytest.mark.parametrize(("core", "target", "layers"), runs_on(("fpu", "no fpu")))
def test_assembly_equals_the_reference(core: str, target: str, layers: int, tmp_path: Path) -> None:
    chip = load_target(target)
    run_on_target(dsp_cases(OPERATOR, layers, as_on(chip, CORES[core])), tmp_path, chip)


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name, _ in FULL_CHIPS])
def test_layers_at_the_edges_equal_the_reference(name: str, tmp_path: Path) -> None:
    chip = load_target(name)
    run_on_target(dsp_cases(OPERATOR, EDGE_LAYERS, as_on(chip, CORES["fpu"]), FUSED_EDGES), tmp_path, chip)
