"""Kernels that are not a layer's first choice give the bytes of the integer reference, on the host and the target."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kernels.cases import draw_cases, plain_call
from tests.kernels.harness import Case, run_on_host, run_on_target
from tests.kernels.test_equal_bytes import CORES, LAYERS, MORE_LAYERS, as_on, runs_on
from tests.models.calibrated import CalibratedBuilder
from thimble.codegen.armv7em import depthwise_form
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.select import specialise
from thimble.codegen.variants import Variant
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall
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


@pytest.mark.parametrize(("core", "target", "layers"), runs_on(("fpu", "no fpu")))
def test_two_rows_at_a_time_equal_the_reference(
    core: str, target: str, layers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depthwise_form, "WORTH_PAIRING_BESIDE_FILLING", 2.0)
    chip = load_target(target)
    planes = replace(as_on(chip, CORES[core]), variant=Variant("planes"))

    def in_pairs(site: Site, plain: KernelCall, whole: bool, limit: int | None) -> KernelCall | None:
        call = specialise(site, plain, whole, planes, limit)
        return call if call is not None and re.search("jd_", call.kernel) else None

    run_on_target(draw_cases("depthwise_3x3", layers, in_pairs), tmp_path, chip)


@pytest.mark.parametrize(("height", "limit", "paired"), [(6, None, True), (5, None, False), (6, 480, False)])
def test_rows_are_paired_only_where_each_call_makes_an_even_number(height: int, limit: int, paired: bool) -> None:
    g = CalibratedBuilder(1)
    site = import_tflite(g.finish(g.depthwise(g.input(1, height, 6, 8), 3)), "rows").sites[0]
    call = specialise(site, plain_call(site, True), True, CORES["fpu"], limit)
    assert call is not None
    assert bool(re.search("jd_", call.kernel)) == paired
