"""Random layers with a specialised kernel, as cases of the harness."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from tests.kernels.convolution_draws import Rng
from tests.kernels.draws import DRAWS
from tests.kernels.harness import Case, make_case
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Graph, Site, Value
from thimble.compiler.ir.operator import FirstRow, KernelCall, Rounding
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.convolution import WeightedOperator, WindowConvolution
from thimble.compiler.ops.support import limit_broken
from thimble.compiler.ops.window import ExplicitPadding
from thimble.compiler.passes.fuse_additions import fuse_additions
from thimble.compiler.passes.fuse_depthwise import fuse_depthwise
from thimble.compiler.plan.late import write_late

LIMITS = (None, None, 4096, 2048, 1024, 512)
"""Of scratch, so that kernels work in portions of all sizes."""

LATE = "_late"
"""What the names of plain kernels that write late have behind that of the operator."""

DRAWS_PER_LAYER = 60
"""Most layers drawn for one that is taken."""

FRAMED_SHARE, PART_SHARE = 0.1, 0.15
"""Of the layers, those with a padding that no file has, and those of which a part is made."""

TIGHT_SHARE = 0.2
"""Of the layers, those that get as little scratch as they can do with, or a little more."""

Draw = Callable[[Rng], bytes]
"""Draws a model of one layer."""

Find = Callable[[Site, KernelCall, bool, int | None], KernelCall | None]
"""The specialised call for a site, its plain call, whether rows lie one behind the other, and a limit of scratch."""


def operators_of(kernels: Iterable[str]) -> list[str]:
    """What is drawn for plain kernels of these names."""
    drawn = {kernel.partition("_s8")[0].removesuffix("_accumulate") for kernel in kernels}
    return sorted({"mean" if name == "reduce_sum" else name for name in drawn})


def draw_cases(operator: str, count: int, find: Find, draws: Mapping[str, Draw] = DRAWS) -> list[Case]:
    """`count` layers whose kernel is specialised, each on one input; samples take turns as in draw_input.

    Those of operators that end in LATE run by rows, with kernels that write late.
    """
    cases: list[Case] = []
    for seed in range(DRAWS_PER_LAYER * count):
        rng = np.random.default_rng([zlib.crc32(operator.encode()), seed])
        drawn = framed(import_tflite(draws[operator.removesuffix(LATE)](rng), f"{operator} {seed}"), rng)
        if any(limit_broken(site) is not None for site in drawn.sites):
            continue
        late = operator.endswith(LATE)
        (site,) = (write_late if late else fuse)(drawn).sites
        site = part_of(site, rng)
        if late and not (isinstance(site.op, WindowConvolution) and site.op.writes_late):
            continue
        whole = bool(rng.random() < 0.5) and not late
        plain = plain_call(site, whole)
        limit = LIMITS[int(rng.integers(len(LIMITS)))]
        call = find(site, plain, whole, limit)
        if call is None:
            continue
        if rng.random() < TIGHT_SHARE:
            limit, call = _tightened(rng, call, partial(find, site, plain, whole))
        assert limit is None or call.scratch_bytes <= limit
        inputs = [draw_input(rng, site, v, seed % 6) for v in site.inputs if v is not None and v.data is None]
        operands = iter(inputs)
        arrays = [v.constant if v is not None and v.data is not None else next(operands) for v in site.inputs]
        outputs = site.op.reference(site, arrays, Rounding.TFLM)
        cases.append(make_case(site, call, inputs, outputs, len(cases), rng, whole))
        if len(cases) == count:
            return cases
    raise AssertionError(f"only {len(cases)} of {DRAWS_PER_LAYER * count} drawn layers are taken")


def _tightened(rng: Rng, call: KernelCall, make: Callable[[int], KernelCall | None]) -> tuple[int, KernelCall]:
    """A call within less and less scratch, as plans ask for it, mostly down to the least; and the limit."""
    limit = call.scratch_bytes
    while limit > 0 and rng.random() < 0.95 and (less := make(limit - 1)) is not None:
        limit, call = less.scratch_bytes, less
    return limit, call


def framed(graph: Graph, rng: Rng) -> Graph:
    """The graph, of some the last convolution with another padding, as a PAD before it leaves: of any size on any
    side."""
    *before, node = graph.nodes
    if not isinstance(node.op, WindowConvolution) or rng.random() >= FRAMED_SHARE:
        return graph
    along_height, along_width = ((int(a), int(b)) for a, b in rng.choice((0, 0, 0, 1, 2, 3), (2, 2)))
    op = replace(node.op, padding=ExplicitPadding(along_height, along_width))
    try:
        (shape,) = op.shapes(replace(graph.sites[-1], op=op))
    except MalformedModel:  # no window fits
        return graph
    values, made = list(graph.values), node.outputs[0]
    values[made] = replace(values[made], type=replace(values[made].type, shape=shape))
    return replace(graph, values=tuple(values), nodes=(*before, replace(node, op=op)))


def part_of(site: Site, rng: Rng) -> Site:
    """The site, some times on a part of its output alone, as plans by rows make it: borders are on some sides."""
    made = site.output().type
    if rng.random() >= PART_SHARE or len(made.shape) != 4 or site.op.rows(site) is None:
        return site
    if any(value is not None and value.type.dtype.is_packed for value in (*site.inputs, *site.outputs)):
        return site
    rows, columns = (_span(rng, size) for size in (made.rows, made.columns))
    return site if site.op.needed_columns(site, columns) is None else site.op.restricted(site, rows, columns)


def _span(rng: Rng, size: int) -> tuple[int, int]:
    """Some of so many rows or columns, often from the first or to the last."""
    first, end = sorted(int(n) for n in rng.integers(0, size, 2))
    return first if rng.random() < 0.6 else 0, end + 1 if rng.random() < 0.6 else size


def fuse(graph: Graph) -> Graph:
    """The graph with all nodes fused that may be."""
    return fuse_depthwise(fuse_additions(graph))


def plain_call(site: Site, whole: bool) -> KernelCall:
    """The plain kernel's call; that of the row form where it takes some rows of many."""
    by_rows = () if whole or site.op.rows(site) is None else site.op.lower_rows(site, Rounding.TFLM)
    (call,) = by_rows if any(FirstRow() in call.arguments for call in by_rows) else site.op.lower(site, Rounding.TFLM)
    return call


def draw_input(rng: np.random.Generator, site: Site, value: Value, sample: int) -> np.ndarray:
    """Integers: sample 1 all lowest, 2 all highest, 3 only extremes, 4 those with the largest sum that a channel has,
    others random. float: near halves of a unit."""
    shape = value.type.shape
    if value.type.dtype is DType.FLOAT32:
        return draw_floats(rng, shape, site.output().quant.scale)
    low, high = value.type.dtype.range
    if sample in (1, 2):
        return np.full(shape, (low, high)[sample - 1], np.int8)
    if sample == 3:
        return np.where(rng.random(shape) < 0.5, low, high).astype(np.int8)
    if sample == 4 and isinstance(site.op, WeightedOperator) and site.input(1).type.dtype is DType.INT8:
        return np.resize(_worst(rng, site.input(1), low, high), shape).astype(np.int8)
    return rng.integers(low, high + 1, shape).astype(np.int8)


def _worst(rng: np.random.Generator, weights: Value, low: int, high: int) -> np.ndarray:
    """Inputs of one window that add up to the most, or to the least, that the weights of a drawn channel can make."""
    levels = np.moveaxis(weights.constant, weights.quant.axis, 0).reshape(weights.type.shape[weights.quant.axis], -1)
    signs = levels[int(rng.integers(len(levels)))] >= 0
    return np.where(signs == (rng.random() < 0.5), low, high)


def draw_floats(rng: np.random.Generator, shape: tuple[int, ...], unit: float) -> np.ndarray:
    """Multiples of a half unit and their neighbours, some random ones, and what is no number."""
    halves = (rng.integers(-600, 600, shape) * np.float32(unit / 2)).astype(np.float32)
    kind = rng.random(shape)
    drawn = np.where(kind < 0.3, np.nextafter(halves, np.float32(rng.choice([-1e30, 1e30]))), halves)
    drawn = np.where(kind > 0.6, (rng.normal(0, 100, shape) * unit).astype(np.float32), drawn)
    return np.where(kind > 0.95, rng.choice(np.float32([np.nan, np.inf, -np.inf, 3e38, -3e38])), drawn)
