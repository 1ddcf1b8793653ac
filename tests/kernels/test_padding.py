"""Convolutions with borders on some sides alone, as a PAD before them leaves, give the reference's bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.cases import draw_input, plain_call
from tests.kernels.convolution_draws import pointwise
from tests.kernels.harness import Case, make_case, run_on_host, run_on_target
from thimble.codegen.candidates import family_of
from thimble.codegen.variants import DEFAULT
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.window import ExplicitPadding
from thimble.targets.model import load_target

CHIPS = ("stm32l4r5zi", "stm32l4r5zi compact", "stm32h743zi", "mps3-an547", "stm32g0b1re")

PADDINGS = (
    ExplicitPadding((0, 2), (0, 0)),
    ExplicitPadding((1, 0), (0, 0)),
    ExplicitPadding((0, 0), (0, 3)),
    ExplicitPadding((0, 0), (2, 0)),
    ExplicitPadding((1, 1), (1, 1)),
)


def padded(site: Site, padding: ExplicitPadding) -> Site:
    """The convolution with these borders around its input."""
    op, output = replace(site.op, padding=padding), site.output()
    (shape,) = op.shapes(replace(site, op=op))
    return replace(site, op=op, outputs=(replace(output, type=replace(output.type, shape=shape)),))


def padded_cases(name: str) -> list[Case]:
    """Pointwise layers whose outputs at some sides see zero points alone, for whole tensors and by rows."""
    family = family_of(load_target(name.removesuffix(" compact")), 1 << 20, name.endswith(" compact"))
    assert family is not None
    cases: list[Case] = []
    for number, padding in enumerate(PADDINGS * 2):
        rng, whole = np.random.default_rng(number), number < len(PADDINGS)
        site = padded(import_tflite(pointwise(rng), "padded").sites[0], padding)
        plain = plain_call(site, whole)
        call = family.make(site, plain, whole, None, DEFAULT) or plain
        image = draw_input(rng, site, site.input(), 0)
        constants = [value.constant for value in site.inputs[1:] if value is not None]
        outputs = site.op.reference(site, [image, *constants], Rounding.TFLM)
        cases.append(make_case(site, call, [image], outputs, number, rng, whole))
    return cases


@pytest.mark.parametrize("name", CHIPS)
def test_pointwise_layers_with_borders_equal_the_reference(name: str, tmp_path: Path) -> None:
    """On the host under the sanitizers, and on the simulated chip."""
    for place in ("host", "target"):
        (tmp_path / place).mkdir()
    run_on_host(padded_cases(name), tmp_path / "host")
    run_on_target(padded_cases(name), tmp_path / "target", load_target(name.removesuffix(" compact")))
