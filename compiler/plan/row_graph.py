"""The graph as the row-wise planner sees it: who reads which rows of what, and what must lie in one piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import Array, KernelCall, Operator, Rounding, RowForm, Span
from thimble.compiler.plan.views import find_views

MAX_ROWS = 512
"""Nodes that read or write more rows than this run whole: models made to cost much must not take long to plan."""

MAX_ROWS_IN_ALL = 4096
"""The most rows that all tensors of a graph may have together; the tallest ones run whole where they have more."""


@dataclass(frozen=True, slots=True)
class Home:
    """A stored value. Views have none: whoever reads a view reads the home of its base.

    One that is `whole` has its rows one behind the other; `kept` values live until the end, states always.
    """

    value: int
    role: Role
    rows: int
    columns: int
    row_bytes: int
    alignment: int
    whole: bool
    kept: bool


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Step s of a node reads rows [first[s], end[s]) of a home and nothing behind end[s] before; int arrays.

    `last[r]` is the last step that reads row r, or -1. `distance` is that of the node's overlap with these rows
    (RowForm.overlaps), or None; `needs` are the spans as the operator gave them.
    """

    home: int
    first: Array
    end: Array
    last: Array
    distance: int | None


@dataclass(frozen=True, slots=True, eq=False)
class RowNode:
    """A node, or the input `makes[0]` being read by rows where `node` is None.

    It runs in `steps` steps, in order. Step s makes row s of all that it makes, unless it `gathers`: then all rows
    come with the last step. A node without row form is one that gathers in one step.

    `outputs` are the elements that it makes.
    """

    node: int | None
    steps: int
    reads: tuple[Read, ...]
    makes: tuple[int, ...]
    gathers: bool
    accumulator_bytes: int = 0
    scratch_bytes: int = 0
    touches_state: bool = False
    op: str = ""
    macs: int = 0
    outputs: int = 0

    @property
    def runs_whole(self) -> bool:
        """Whether it has no row form, or none that is used."""
        return self.node is not None and self.gathers and not self.accumulator_bytes


PartOfNode = tuple[int, Span, Span]
"""A node, steps of it and columns of its output."""


PartShape = tuple[int, Operator, tuple[tuple[int, ...], ...]]
"""A node, the operator that makes a part of it, and the shapes of what that reads and makes."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundParts:
    """What was found of parts of nodes, so that each is looked at once (runs.py): the distances of overlaps by home and
    the scratch; the rows and columns that it needs of each home, None where it cannot be split; and the distances and
    scratch of whole layers by node. `alike` holds the facts by what they follow from: parts far from the borders
    differ in nothing but where they are."""

    facts: dict[PartOfNode, tuple[dict[int, int], int]] = field(default_factory=dict)
    needs: dict[PartOfNode, dict[int, tuple[Span, Span]] | None] = field(default_factory=dict)
    layers: dict[int, tuple[dict[int, int], int]] = field(default_factory=dict)
    alike: dict[PartShape, tuple[dict[int, int], int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class RowGraph:
    """`nodes` in the graph's order without those that make views; `homes` by value; makers and readers by node.

    `depths` holds for each node how many nodes the longest way to it has.
    """

    graph: Graph
    rounding: Rounding
    nodes: tuple[RowNode, ...]
    homes: Mapping[int, Home]
    views: Mapping[int, int]
    makers: Mapping[int, int]
    readers: Mapping[int, tuple[int, ...]]
    depths: tuple[int, ...]
    found: FoundParts = field(default_factory=FoundParts, repr=False)

    def last_reader(self, value: int) -> int:
        """The last node that reads a home, or the first behind all where it is kept; -1 where there is none."""
        if self.homes[value].kept:
            return len(self.nodes)
        return max(self.readers.get(value, ()), default=-1)


def row_graph(graph: Graph, rounding: Rounding, input_by_rows: bool) -> RowGraph:
    """Look at every node of a graph once. Inputs that are read by rows come from a node of their own."""
    views = find_views(graph)
    most = _most_rows(graph)
    forms = [_row_form(site, most) for site in graph.sites]
    homes = _homes(graph, views, forms, input_by_rows)
    nodes: list[RowNode] = []
    pending = {i for i in graph.inputs if input_by_rows}
    for index, node in enumerate(graph.nodes):
        if any(i in views for i in node.outputs):
            continue
        made = _row_node(graph, index, forms[index], homes, views, rounding)
        for read in made.reads:
            if read.home in pending:
                pending.remove(read.home)
                nodes.append(_read_node(homes[read.home]))
        nodes.append(made)
    nodes[:0] = [_read_node(homes[value]) for value in sorted(pending)]
    makers = {value: index for index, node in enumerate(nodes) for value in node.makes}
    readers: dict[int, tuple[int, ...]] = {}
    for index, made in enumerate(nodes):
        for read in made.reads:
            readers[read.home] = (*readers.get(read.home, ()), index)
    return RowGraph(graph, rounding, tuple(nodes), homes, views, makers, readers, _depths(nodes, makers))


def _depths(nodes: list[RowNode], makers: Mapping[int, int]) -> tuple[int, ...]:
    depths: list[int] = []
    for node in nodes:
        depths.append(1 + max((depths[makers[r.home]] for r in node.reads if r.home in makers), default=0))
    return tuple(depths)


def _most_rows(graph: Graph) -> int:
    """The most rows that a tensor may have, so that those that have no more have few enough together."""
    rows = Counter(v.type.rows for v in graph.values if v.role is not Role.CONSTANT)
    total, most = 0, 0
    for height, count in sorted(rows.items()):
        total += height * count
        if total > MAX_ROWS_IN_ALL or height > MAX_ROWS:
            break
        most = height
    return most


def _row_form(site: Site, most_rows: int) -> RowForm | None:
    """The row form of a node; None where it has none, holds nothing, or has too many rows."""
    values = [v for v in (*site.inputs, *site.outputs) if v is not None and v.role is not Role.CONSTANT]
    if any(v.type.rows > most_rows or v.type.elements == 0 for v in values):
        return None
    return site.op.rows(site)


def _homes(graph: Graph, views: Mapping[int, int], forms: list[RowForm | None], input_by_rows: bool) -> dict[int, Home]:
    whole = {views.get(i, i) for i in graph.outputs} | set(graph.states)
    whole |= set() if input_by_rows else set(graph.inputs)
    for node, form in zip(graph.nodes, forms, strict=True):
        if any(i in views for i in node.outputs):
            continue
        for i in (*node.inputs, *node.outputs):
            if i is not None and (form is None or not _same_rows(graph, i, views.get(i, i))):
                whole.add(views.get(i, i))
    kept = {views.get(i, i) for i in graph.outputs} | set(graph.states)
    homes = {}
    for i, value in enumerate(graph.values):
        if value.role is not Role.CONSTANT and i not in views:
            rows = max(value.type.rows, 1)
            alignment = 8 if value.type.dtype.alignment == 8 else 4
            size = value.type.bytes // rows
            homes[i] = Home(i, value.role, rows, value.type.columns, size, alignment, i in whole, i in kept)
    return homes


def _same_rows(graph: Graph, value: int, home: int) -> bool:
    """Whether the rows of a value are those of the home that it is a view of."""
    mine, other = graph.values[value].type, graph.values[home].type
    return mine.rows == other.rows and mine.row_bytes == other.row_bytes


def _read_node(home: Home) -> RowNode:
    return RowNode(None, home.rows, (), (home.value,), False)


def _row_node(
    graph: Graph,
    index: int,
    form: RowForm | None,
    homes: Mapping[int, Home],
    views: Mapping[int, int],
    rounding: Rounding,
) -> RowNode:
    node, site = graph.nodes[index], graph.sites[index]
    operands = [
        (position, value)
        for position, value in enumerate(node.inputs)
        if value is not None and graph.values[value].role is not Role.CONSTANT
    ]
    steps = form.steps if form else 1
    declared = {overlap.input: overlap.distance for overlap in site.row_overlaps(form)} if form else {}
    distances = home_distances(graph, index, views, declared)
    by_home: dict[int, list[Read]] = {}
    for position, value in operands:
        home = homes[views.get(value, value)]
        spans = form.needs[position] if form else None
        spans = ((0, graph.values[value].type.rows),) * steps if spans is None else spans
        distance = distances.get(home.value)
        if not _same_rows(graph, value, home.value):
            spans, distance = _rows_of_bytes(graph, value, home, spans), None
        by_home.setdefault(home.value, []).append(_read(home, spans, distance))
    return RowNode(
        node=index,
        steps=steps,
        reads=tuple(_joined(reads) for reads in by_home.values()),
        makes=node.outputs,
        gathers=form is None or form.accumulator_bytes > 0,
        accumulator_bytes=form.accumulator_bytes if form else 0,
        scratch_bytes=scratch_bytes(site.lower_rows(rounding) if form else site.lower(rounding)),
        touches_state=any(homes[views.get(value, value)].role is Role.STATE for _, value in operands),
        op=site.op.name,
        macs=site.op.macs(site),
        outputs=sum(v.type.elements for v in site.outputs),
    )


def home_distances(graph: Graph, node: int, views: Mapping[int, int], declared: Mapping[int, int]) -> dict[int, int]:
    """By home, the distance of a node's overlaps, `declared` by input; none where an input without one reads it too."""
    found: dict[int, int | None] = {}
    for position, value in enumerate(graph.nodes[node].inputs):
        if value is not None:
            home, distance = views.get(value, value), declared.get(position)
            known = found.get(home, distance)
            found[home] = None if known is None or distance is None else max(known, distance)
    return {home: distance for home, distance in found.items() if distance is not None}


def scratch_bytes(calls: tuple[KernelCall, ...]) -> int:
    """Working memory that the calls of a step need, one after the other."""
    return max((call.scratch_bytes for call in calls), default=0)


def _rows_of_bytes(graph: Graph, value: int, home: Home, spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """Spans of rows of a view as spans of those rows of its home that hold the same bytes."""
    size = graph.values[value].type.row_bytes
    if not home.row_bytes:
        return ((0, home.rows),) * len(spans)
    return tuple((first * size // home.row_bytes, -(-end * size // home.row_bytes)) for first, end in spans)


def _read(home: Home, spans: tuple[Span, ...], distance: int | None) -> Read:
    ranges = np.array(spans, np.int64).reshape(-1, 2)
    first, end = ranges[:, 0], np.maximum.accumulate(ranges[:, 1])
    last = np.full(home.rows, -1)
    for step, (low, high) in enumerate(spans):
        last[low:high] = step
    return Read(home.value, first, end, last, distance)


def _joined(reads: list[Read]) -> Read:
    """Several inputs of a node that are one home, as one."""
    if len(reads) == 1:
        return reads[0]
    return Read(
        reads[0].home,
        np.minimum.reduce([read.first for read in reads]),
        np.maximum.reduce([read.end for read in reads]),
        np.maximum.reduce([read.last for read in reads]),
        None if any(read.distance is None for read in reads) else reads[0].distance,
    )
