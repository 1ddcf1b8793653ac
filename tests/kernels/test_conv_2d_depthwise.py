"""Pointwise and depthwise convolutions in one kernel give the bytes of both, on the host and on the target."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.cases import draw_cases
from tests.kernels.edges import FUSED_EDGES
from tests.kernels.harness import Case, run_on_host, run_on_target
from tests.kernels.test_equal_bytes import CORES, FULL_CHIPS, LAYERS, MORE_LAYERS, as_on, dsp_cases, runs_on
from tests.passes.network import Network
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.select import specialise
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall, Rounding
from thimble.compiler.ops.window import Padding
from thimble.compiler.passes.fuse_depthwise import fuse_depthwise
from thimble.targets.model import load_target

OPERATOR = "conv_2d_depthwise"
EDGE_LAYERS = 25


@pytest.mark.parametrize("layers", [LAYERS, pytest.param(MORE_LAYERS, marks=pytest.mark.full)])
def test_plain_kernel_equals_the_reference(layers: int, tmp_path: Path) -> None:
    def within(site: Site, call: KernelCall, whole: bool, limit: int | None) -> KernelCall | None:
        return call if whole and (limit is None or call.scratch_bytes <= limit) else None

    run_on_host(draw_cases(OPERATOR, layers, within), tmp_path)


def banded_cases(count: int, core: Core) -> list[Case]:
    """Layers in bands of rows: of all ways to cut them within a limit of scratch, each layer takes the next one."""
    turns = itertools.count()

    def find(site: Site, call: KernelCall, whole: bool, limit: int | None) -> KernelCall | None:
        ways = [way for way in ways_within(site, call, whole, core, limit) if bands_in(way) > 1]
        return ways[next(turns) % len(ways)] if ways else None

    return draw_cases(OPERATOR, count, find)


def ways_within(site: Site, call: KernelCall, whole: bool, core: Core, limit: int | None) -> Iterator[KernelCall]:
    """The kernels of a layer from the most scratch within a limit down to the least."""
    made = specialise(site, call, whole, core, limit)
    while made is not None:
        yield made
        made = specialise(site, call, whole, core, made.scratch_bytes - 1)


def bands_in(call: KernelCall) -> int:
    """Bands of the rows between the two convolutions."""
    params = {name: value for name, value in call.params if isinstance(value, int)}
    return -(-params["depthwise.window.input_height"] // params["band_rows"])


@pytest.mark.parametrize("layers", [LAYERS, pytest.param(MORE_LAYERS, marks=pytest.mark.full)])
def test_portable_twin_in_bands_equals_the_reference(layers: int, tmp_path: Path) -> None:
    run_on_host(banded_cases(layers, CORES["fpu"]), tmp_path)


@pytest.mark.parametrize(("core", "target", "layers"), runs_on(("fpu", "no fpu")))
def test_assembly_in_bands_equals_the_reference(core: str, target: str, layers: int, tmp_path: Path) -> None:
    chip = load_target(target)
    run_on_target(banded_cases(layers, as_on(chip, CORES[core])), tmp_path, chip)


def test_drawn_bands_are_of_all_kinds() -> None:
    calls = [case.call for case in banded_cases(LAYERS, CORES["fpu"])]
    params = [{name: value for name, value in call.params if isinstance(value, int)} for call in calls]
    assert {p["depthwise.window.stride_height"] for p in params} >= {1, 2}
    assert {"convolution.windows" in p for p in params} == {True, False}
    assert len({bands_in(call) for call in calls}) > 3
    assert any(p["depthwise.window.input_height"] % p["band_rows"] for p in params)
    assert any(p.get("convolution.windows", 0) > p["convolution.output_width"] for p in params)


def test_less_scratch_is_offered_step_by_step() -> None:
    """Down to a sixth of the most, and never the same scratch twice."""
    rng = np.random.default_rng(2)
    network = Network()
    x = network.conv(network.input((1, 24, 24, 16)), rng.integers(-90, 91, (32, 1, 1, 16)), zero=-128, scale=0.05)
    weights = rng.integers(-90, 91, (1, 3, 3, 32))
    x = network.conv(x, weights, None, zero=-128, scale=0.05, padding=Padding.SAME, depthwise=True)
    (site,) = fuse_depthwise(network.graph(x)).sites
    (plain,) = site.lower(Rounding.TFLM)
    ways = list(ways_within(site, plain, True, CORES["fpu"], None))
    scratch = [way.scratch_bytes for way in ways]
    assert scratch == sorted(set(scratch), reverse=True)
    assert scratch[-1] < scratch[0] / 3
    assert bands_in(ways[0]) == 1 < bands_in(ways[-1])


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
