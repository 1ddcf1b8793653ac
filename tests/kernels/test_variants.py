"""Kernels that `--tune` may choose give the bytes of the integer reference, however they are made."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.cases import Find, draw_cases, operators_of
from tests.kernels.harness import run_on_host, run_on_target
from thimble.codegen.candidates import family_of
from thimble.codegen.variants import DEFAULT
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall
from thimble.targets.model import load_target

LAYERS = int(os.environ.get("THIMBLE_KERNEL_LAYERS", "60"))
TARGETS = ("stm32l4r5zi", "mps3-an547", "ibex-fast", "stm32g0b1re")
"""A chip of each family, and of each kind of core without SIMD instructions."""

REORDERED_TARGETS = ("stm32h743zi", "stm32u575zi")
"""Whose kernels are those of the first one in another order."""

MORE_LAYERS = 200


def operators(targets: tuple[str, ...] = TARGETS) -> list[tuple[str, str]]:
    """Targets, each with the operators that have a choice of kernels there."""
    families = {target: family_of(load_target(target)) for target in targets}
    return [(name, operator) for name, family in families.items() if family for operator in operators_of(family.ways)]


def any_variant(target: str) -> Find:
    """Finds one of the kernels that a layer can have beside the default one."""
    rng = np.random.default_rng(5)
    family = family_of(load_target(target), flash_bytes=1 << 20)
    assert family is not None

    def find(site: Site, call: KernelCall, whole: bool, limit: int | None) -> KernelCall | None:
        default = family.make(site, call, whole, limit, DEFAULT)
        made = [family.make(site, call, whole, limit, variant) for variant in family.variants(call, whole)]
        others = [other for other in made if other is not None and default is not None and _differ(other, default)]
        return others[int(rng.integers(len(others)))] if others else None

    return find


def _differ(a: KernelCall, b: KernelCall) -> bool:
    return (a.kernel, a.params, a.scratch_bytes) != (b.kernel, b.params, b.scratch_bytes)


@pytest.mark.parametrize(("target", "operator"), operators())
def test_twins_of_variants_equal_the_reference(target: str, operator: str, tmp_path: Path) -> None:
    run_on_host(draw_cases(operator, LAYERS, any_variant(target)), tmp_path)


@pytest.mark.parametrize(("target", "operator"), operators())
def test_variants_equal_the_reference(target: str, operator: str, tmp_path: Path) -> None:
    run_on_target(draw_cases(operator, LAYERS, any_variant(target)), tmp_path, load_target(target))


@pytest.mark.full
@pytest.mark.parametrize(("target", "operator"), operators(("stm32l4r5zi", *REORDERED_TARGETS)))
def test_many_variants_equal_the_reference(target: str, operator: str, tmp_path: Path) -> None:
    run_on_target(draw_cases(operator, MORE_LAYERS, any_variant(target)), tmp_path, load_target(target))
