"""Specialised kernels give the bytes of the integer reference, on the host (their portable twins) and on the target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kernels.cases import LATE, Draw, draw_cases, draw_input, plain_call
from tests.kernels.convolution_draws import first_conv_2d
from tests.kernels.draws import DRAWS
from tests.kernels.harness import Case, make_case, run_on_host, run_on_target
from tests.models.calibrated import CalibratedBuilder
from thimble.codegen.armv7em.core import Core, core_of
from thimble.codegen.armv7em.select import specialise
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.window import ExplicitPadding
from thimble.targets.model import Target, load_target

APART = {"conv_2d_add", "conv_2d_depthwise", "depthwise_3x3", "depthwise_steps", "spread_depthwise"}
OPERATORS = sorted({*DRAWS, f"conv_2d{LATE}", f"depthwise_conv_2d{LATE}"} - APART)
"""What this family has kernels for: those with an addition in the tail are scalar ones (test_scalar.py), two
convolutions in one have no compact kernels (test_conv_2d_depthwise.py), some forms of depthwise ones have draws of
their own (test_forms.py), and those that spread are for vectors alone (test_mve.py)."""

LAYERS, MORE_LAYERS, REORDERED_LAYERS = 40, 200, 12
"""Drawn for each operator; the last ones where the same kernels stand in another order."""

CORES = {
    "fpu": Core(has_fpu=True, winograd_bytes=1 << 20),
    "no fpu": Core(has_fpu=False, has_floats=False, winograd_bytes=1 << 20),
    "compact": Core(has_fpu=True, compact=True),
}
"""Every layer whose shape suits is made with transformed weights, but for compact kernels."""

CHIPS = (("stm32l4r5zi", LAYERS), ("stm32h743zi", REORDERED_LAYERS))
FULL_CHIPS = tuple((name, MORE_LAYERS) for name in ("stm32l4r5zi", "stm32h743zi", "stm32u575zi"))
"""Chips, one for each core that takes the family, with the layers that run there."""


def runs_on(cores: Iterable[str]) -> list[Any]:
    """Cores, each with the chips that have such a one and the number of layers; most layers are for full sweeps.

    Kernels of a core with a pipeline use no FPU register, as those of a core without FPU.
    """
    return [
        pytest.param(core, name, layers, marks=marks)
        for core in cores
        for chips, marks in ((CHIPS, ()), (FULL_CHIPS, (pytest.mark.full,)))
        for name, layers in chips
        if CORES[core].has_floats or _own_core(load_target(name)).has_fpu
    ]


def dsp_cases(operator: str, count: int, core: Core, draws: Mapping[str, Draw] = DRAWS) -> list[Case]:
    """Layers with the kernels of a core with DSP instructions."""
    return draw_cases(operator, count, lambda *given: specialise(*given[:3], core, given[3]), draws)


def as_on(target: Target, core: Core) -> Core:
    """A core whose kernels stand in the order, and have the turns and the registers, that suit a chip."""
    chip = _own_core(target)
    has_fpu = core.has_fpu and chip.has_fpu
    return replace(core, has_fpu=has_fpu, pipeline=chip.pipeline, cache_bytes=chip.cache_bytes)


def _own_core(target: Target) -> Core:
    core = core_of(target)
    assert core is not None
    return core


@pytest.mark.parametrize("layers", [LAYERS, pytest.param(MORE_LAYERS, marks=pytest.mark.full)])
@pytest.mark.parametrize("core", ["fpu", "compact"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_portable_twin_equals_the_reference(operator: str, core: str, layers: int, tmp_path: Path) -> None:
    run_on_host(dsp_cases(operator, layers, CORES[core]), tmp_path)


@pytest.mark.parametrize(("core", "target", "layers"), runs_on(CORES))
@pytest.mark.parametrize("operator", OPERATORS)
def test_assembly_equals_the_reference(operator: str, core: str, target: str, layers: int, tmp_path: Path) -> None:
    if operator == "quantize" and not CORES[core].has_floats:
        pytest.skip("floats stay with plain C where there is no FPU")
    chip = load_target(target)
    run_on_target(dsp_cases(operator, layers, as_on(chip, CORES[core])), tmp_path, chip)


@pytest.mark.parametrize("pad", [1, 20, 60])
def test_windows_may_lie_beside_their_image(pad: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(pad)
    site = beside_image(import_tflite(first_conv_2d(rng), "padded").sites[0], pad)
    call = specialise(site, plain_call(site, True), True, CORES["fpu"])
    assert call is not None
    image = draw_input(rng, site, site.input(0), 0)
    outputs = site.op.reference(site, [image, *(v.constant for v in site.inputs[1:] if v is not None)], Rounding.TFLM)
    run_on_host([make_case(site, call, [image], outputs, 0, rng, True)], tmp_path)


def beside_image(site: Site, pad: int) -> Site:
    """The convolution with `pad` columns before its image, and one column of windows, which begin with these."""
    kernel_height, kernel_width = site.input(1).type.shape[1:3]
    padding = ExplicitPadding((kernel_height, 0), (pad, 0))
    stride = site.input(0).type.shape[2] + pad + kernel_width
    op = replace(site.op, padding=padding, stride_width=stride, dilation_height=1)
    (shape,) = op.shapes(replace(site, op=op))
    output = site.output()
    return replace(site, op=op, outputs=(replace(output, type=replace(output.type, shape=shape)),))


@pytest.mark.parametrize("limit", [None, 4096, 2048])
def test_columns_as_rows_come_from_one_filling(limit: int | None) -> None:
    """Their outputs lie across the whole image, so that all of a channel must be read before any of it is written."""
    g = CalibratedBuilder(1)
    site = import_tflite(g.finish(g.depthwise(g.input(1, 28, 21, 4), 3)), "high").sites[0]
    call = specialise(site, plain_call(site, True), True, CORES["fpu"], limit)
    assert call is not None
    params = dict(call.params)
    assert params["turned"] == (limit is None)
    assert not params["turned"] or params["rows_at_once"] == params["window.output_height"]
