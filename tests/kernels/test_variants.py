"""Kernels that `--tune` may choose give the bytes of the integer reference, however they are made."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.cases import Find, draw_cases
from tests.kernels.harness import run_on_host, run_on_target
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.select import VARIANTS, specialise, variants
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall
from thimble.targets.model import load_target

LAYERS = int(os.environ.get("THIMBLE_KERNEL_LAYERS", "60"))
CORE = Core(has_fpu=True, winograd_bytes=1 << 20)
OPERATORS = tuple(kernel.removesuffix("_s8") for kernel in VARIANTS)


def any_variant() -> Find:
    """Finds one of the kernels that a layer can have beside the default one."""
    rng = np.random.default_rng(5)

    def find(site: Site, call: KernelCall, whole: bool, limit: int | None) -> KernelCall | None:
        default = specialise(site, call, whole, CORE, limit)
        ways = [replace(CORE, variant=variant) for variant in variants(call, whole)]
        made = [specialise(site, call, whole, core, limit) for core in ways]
        others = [other for other in made if other is not None and default is not None and _differ(other, default)]
        return others[int(rng.integers(len(others)))] if others else None

    return find


def _differ(a: KernelCall, b: KernelCall) -> bool:
    return (a.kernel, a.params, a.scratch_bytes) != (b.kernel, b.params, b.scratch_bytes)


@pytest.mark.parametrize("operator", OPERATORS)
def test_twins_of_variants_equal_the_reference(operator: str, tmp_path: Path) -> None:
    run_on_host(draw_cases(operator, LAYERS, any_variant()), tmp_path)


@pytest.mark.parametrize("operator", OPERATORS)
def test_variants_equal_the_reference(operator: str, tmp_path: Path) -> None:
    run_on_target(draw_cases(operator, LAYERS, any_variant()), tmp_path, load_target("stm32l4r5zi"))
