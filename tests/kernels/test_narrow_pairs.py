"""Kernels that unpack narrow weights for two channels at a time give the bytes of the integer reference.

Where there is room for all weights they mostly stand back, so that other draws seldom reach them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.cases import draw_cases
from tests.kernels.harness import Case, run_on_host, run_on_target
from tests.kernels.test_equal_bytes import CORES, LAYERS, MORE_LAYERS, as_on, runs_on
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.narrow_weights import specialise_by_pairs
from thimble.codegen.armv7em.reorder import reordered
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall
from thimble.targets.model import load_target

UNLIMITED = 1 << 30


def pair_cases(count: int, core: Core) -> list[Case]:
    """Layers that are made in this way."""

    def find(site: Site, call: KernelCall, whole: bool, limit: int | None) -> KernelCall | None:
        made = specialise_by_pairs(site, call, core, whole, UNLIMITED if limit is None else limit)
        fits = made is not None and (limit is None or made.scratch_bytes <= limit)
        return reordered(made, core.pipeline) if made is not None and fits else None

    return draw_cases("narrow_conv_2d", count, find)


@pytest.mark.parametrize("layers", [LAYERS, pytest.param(MORE_LAYERS, marks=pytest.mark.full)])
def test_portable_twin_equals_the_reference(layers: int, tmp_path: Path) -> None:
    run_on_host(pair_cases(layers, CORES["fpu"]), tmp_path)


@pytest.mark.parametrize(("core", "target", "layers"), runs_on(("fpu", "no fpu")))
def test_assembly_equals_the_reference(core: str, target: str, layers: int, tmp_path: Path) -> None:
    chip = load_target(target)
    run_on_target(pair_cases(layers, as_on(chip, CORES[core])), tmp_path, chip)
