"""Kernels that are not a layer's first choice give the bytes of the integer reference, on the host and on the target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.kernels.cases import draw_cases
from tests.kernels.harness import Case, run_on_host, run_on_target
from tests.kernels.test_equal_bytes import CORES, LAYERS, MORE_LAYERS, as_on, runs_on
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.select import specialise
from thimble.codegen.variants import Variant
from thimble.targets.model import load_target

FORMS = {
    "direct": "depthwise_3x3",
    "steps": "depthwise_steps",
    "pixels": "depthwise_conv_2d",
    "vectors": "conv_2d",
}
"""Ways to make a layer, and the layers that are drawn for them."""


def form_cases(form: str, count: int, core: Core) -> list[Case]:
    """Layers that are made in this way."""
    core = replace(core, variant=Variant(form))
    return draw_cases(FORMS[form], count, lambda *given: specialise(*given[:3], core, given[3]))


@pytest.mark.parametrize("layers", [LAYERS, pytest.param(MORE_LAYERS, marks=pytest.mark.full)])
@pytest.mark.parametrize("form", FORMS)
def test_portable_twin_equals_the_reference(form: str, layers: int, tmp_path: Path) -> None:
    run_on_host(form_cases(form, layers, Core(has_fpu=True)), tmp_path)


@pytest.mark.parametrize(("core", "target", "layers"), runs_on(("fpu", "no fpu")))
@pytest.mark.parametrize("form", FORMS)
def test_assembly_equals_the_reference(form: str, core: str, target: str, layers: int, tmp_path: Path) -> None:
    chip = load_target(target)
    run_on_target(form_cases(form, layers, as_on(chip, CORES[core])), tmp_path, chip)
