"""A stage of a network that is computed patch by patch: which nodes, what each patch needs, what halos cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import Span
from thimble.compiler.ops.binary import BinaryOperator
from thimble.compiler.ops.convolution import WindowConvolution
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.unary import UnaryOperator

Area = tuple[Span, Span]
"""Rows and columns of an image."""

PATCHES = 3
"""Patches along each side of the stage's result, as in MCUNetV2 (arXiv 2110.15352)."""

SMALL = 3
"""By how much smaller nodes behind the stage are than the largest one."""


@dataclass(frozen=True, slots=True)
class PatchStage:
    """Nodes `nodes`, by position, between the values `split` and `merge`, and the areas of `merge`, one a patch."""

    split: int
    merge: int
    nodes: tuple[int, ...]
    areas: tuple[Area, ...]


def patch_stage(graph: Graph) -> PatchStage:
    """The stage behind the first convolution, up to where images are small: all of it works on windows.

    It ends at the first value through which everything must pass and behind which no node reads and writes more than
    a third of the bytes of the largest one. Raises UnsupportedOp for a graph without such a stage.
    """
    sites = graph.sites
    first = next((p for p, site in enumerate(sites) if isinstance(site.op, WindowConvolution)), None)
    if first is None:
        raise UnsupportedOp("There is no convolution behind which a stage of patches could begin.")
    cuts = [p for p in range(first, len(sites)) if _is_cut(graph, p)]
    sizes = [
        sum(v.type.bytes for v in (*site.inputs, *site.outputs) if v is not None and v.data is None) for site in sites
    ]
    local = first + 1
    while local < len(sites) and _is_local(sites[local]):
        local += 1
    ends = [p for p in cuts if first < p < local]
    if first not in cuts or not ends:
        raise UnsupportedOp("There is no stage of windows between two values through which everything passes.")
    end = next((p for p in ends if max(sizes[p + 1 :], default=0) <= max(sizes) / SMALL), ends[-1])
    split, merge = graph.nodes[first].outputs[0], graph.nodes[end].outputs[0]
    _, height, width, _ = graph.values[merge].type.shape
    return PatchStage(split, merge, tuple(range(first + 1, end + 1)), tuple(_areas(height, width)))


def _is_cut(graph: Graph, position: int) -> bool:
    """Whether behind a node nothing but its one result is alive."""
    behind = [i for node in graph.nodes[position + 1 :] for i in node.inputs if i is not None]
    made = {i for node in graph.nodes[: position + 1] for i in node.outputs} | set(graph.inputs)
    alive = {i for i in behind if i in made} | (made & set(graph.outputs))
    return alive == set(graph.nodes[position].outputs)


def _is_local(site: Site) -> bool:
    """Whether a pixel of a node's result needs a window of its operands, which are images of one size."""
    shape = site.output().type.shape
    if len(shape) != 4 or min(shape[1:3]) < PATCHES:
        return False
    images = [v for v in site.inputs if v is not None and v.role is not Role.CONSTANT]
    same = all(v.type.shape[1:3] == site.output().type.shape[1:3] for v in images)
    return isinstance(site.op, WindowConvolution | Pool2D) or (
        isinstance(site.op, BinaryOperator | UnaryOperator) and same
    )


def _areas(height: int, width: int) -> Iterator[Area]:
    """An image cut into PATCHES by PATCHES areas."""
    for rows in _spans(height):
        for columns in _spans(width):
            yield rows, columns


def _spans(size: int) -> list[Span]:
    return [(size * i // PATCHES, size * (i + 1) // PATCHES) for i in range(PATCHES)]


def needed_areas(graph: Graph, stage: PatchStage, area: Area) -> Mapping[int, Area]:
    """The area of each value of the stage that one patch of its result needs, halos included."""
    areas = {stage.merge: area}
    for position in reversed(stage.nodes):
        node, site = graph.nodes[position], graph.sites[position]
        made = areas.get(node.outputs[0])
        if made is None:
            continue
        for index in node.inputs:
            if index is not None and graph.values[index].role is not Role.CONSTANT:
                read = read_area(site, made)
                areas[index] = _union(areas[index], read) if index in areas else read
    return areas


def read_area(site: Site, made: Area) -> Area:
    """The area of its operands that a node reads for some area of its output."""
    if isinstance(site.op, WindowConvolution | Pool2D):
        rows, columns = site.op.axes(site)
        return rows.reads(made[0]), columns.reads(made[1])
    return made


def _union(one: Area, other: Area) -> Area:
    (a, b), (c, d) = one, other
    return (min(a[0], c[0]), max(a[1], c[1])), (min(b[0], d[0]), max(b[1], d[1]))


def patch_macs(graph: Graph, stage: PatchStage, area: Area) -> dict[int, float]:
    """Multiply-accumulates of each node of the stage, by position, for one patch of its result."""
    areas = needed_areas(graph, stage, area)
    macs = {}
    for position in stage.nodes:
        site = graph.sites[position]
        (top, bottom), (left, right) = areas[graph.nodes[position].outputs[0]]
        _, height, width, _ = site.output().type.shape
        macs[position] = site.op.macs(site) * (bottom - top) * (right - left) / (height * width)
    return macs
