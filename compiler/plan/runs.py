"""Runs of nodes and the passes that they are made in: all rows and columns at once, or part after part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Span
from thimble.compiler.plan.row_graph import MAX_ROWS, Home, RowGraph, home_distances, scratch_bytes


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a run is computed: `rows` steps a call (0: all at once), its output in `row_parts` x `column_parts` parts.

    The first and the last of three or more column parts are `outer_columns` wider than the others, since they need a
    halo on one side only.
    With a `gate`, a node of the run, everything that leads to it is computed first and for it alone; what the rest
    needs of that is computed again (squeeze and excite without its tensor kept).
    """

    rows: int = 1
    row_parts: int = 1
    column_parts: int = 1
    outer_columns: int = 0
    gate: int | None = None

    @property
    def parts(self) -> int:
        """Parts of the output, each computed for itself."""
        return self.row_parts * self.column_parts

    @property
    def repeats(self) -> bool:
        """Whether anything can be computed more than once."""
        return self.row_parts > 1 or self.column_parts > 1 or self.gate is not None


LAYER = Recipe(rows=0)
"""One node over its whole output in one call, on tensors in one piece, of which it counts as reading all rows."""

AT_ONCE = Recipe(rows=MAX_ROWS)
"""One node in one call too, but on rows that may lie apart: more freedom to lay them out, nothing in place."""


@dataclass(frozen=True, slots=True)
class Run:
    """Nodes [first, end) of a row graph, computed by one recipe."""

    first: int
    end: int
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Pass:
    """The steps of each node that a part of a run needs, and the columns of what it makes; absent ones do not run."""

    spans: Mapping[int, Span]
    columns: Mapping[int, Span]

    def columns_of(self, graph: RowGraph, node: int) -> Span:
        """The columns of a node's output that the part makes."""
        makes = graph.nodes[node].makes
        return self.columns[makes[0]] if makes else (0, 1)


@dataclass(frozen=True, slots=True)
class Passes:
    """The passes of a run that ends at a node, and the first node with which such a run may begin."""

    passes: tuple[Pass, ...]
    lowest: int


def passes_of(graph: RowGraph, first: int, end: int, recipe: Recipe) -> Passes | None:
    """The passes of a run that begins at `first` or, where that cannot be, as early as possible; None if never."""
    if not recipe.repeats:
        return Passes((_all_of(graph, range(first, end)),), first)
    if recipe.gate is not None:
        return _gated(graph, first, end, recipe.gate)
    return _parts(graph, first, end, recipe)


def _all_of(graph: RowGraph, nodes: range) -> Pass:
    spans = {node: (0, graph.nodes[node].steps) for node in nodes}
    return Pass(spans, {value: (0, graph.homes[value].columns) for node in nodes for value in graph.nodes[node].makes})


def _gated(graph: RowGraph, first: int, end: int, gate: int) -> Passes | None:
    """First all that the gate needs, then all that the last node needs but for the gate."""
    if not first <= gate < end - 1:
        return None
    before = _reached(graph, first, gate, frozenset())
    after = _reached(graph, first, end - 1, frozenset({gate}))
    if not before & after:
        return None  # nothing would be computed twice, so that a plain run does as well
    unreached = [n for n in range(first, end) if n not in before and n not in after]
    leaving = [n for n in range(first, end - 1) if _leaves(graph, n, end)]
    lowest = max((*unreached, *leaving), default=first - 1) + 1
    if lowest > min(before & after):
        return None
    sides = (_all_of(graph, range(first, end)),) * 2
    passes = tuple(
        replace(side, spans={n: side.spans[n] for n in sorted(nodes)})
        for side, nodes in zip(sides, (before, after), strict=True)
    )
    return Passes(passes, lowest)


def _reached(graph: RowGraph, first: int, target: int, present: frozenset[int]) -> set[int]:
    """The nodes from `first` on that a node needs, itself among them, where some need not run."""
    found, waiting = {target}, [target]
    while waiting:
        for read in graph.nodes[waiting.pop()].reads:
            maker = graph.makers.get(read.home, -1)
            if maker >= first and maker not in found and maker not in present:
                found.add(maker)
                waiting.append(maker)
    return found


def _leaves(graph: RowGraph, node: int, end: int) -> bool:
    """Whether anything that a node makes is read behind the run."""
    return any(graph.last_reader(value) >= end for value in graph.nodes[node].makes)


def _parts(graph: RowGraph, first: int, end: int, recipe: Recipe) -> Passes | None:
    """One pass for each part of the last node's output, from left to right and then downwards."""
    last = graph.nodes[end - 1]
    if last.gathers or len(last.makes) != 1 or last.node is None:
        return None
    home = graph.homes[last.makes[0]]
    if recipe.row_parts > last.steps or recipe.column_parts > home.columns - 2 * recipe.outer_columns:
        return None
    lowest, passes = first, []
    for rows in _split(last.steps, recipe.row_parts, 0):
        for columns in _split(home.columns, recipe.column_parts, recipe.outer_columns):
            part, low = _part(graph, first, end, rows, columns)
            lowest = max(lowest, low)
            passes.append(part)
    return Passes(tuple(passes), lowest) if lowest < end - 1 else None


def _split(size: int, parts: int, outer: int) -> list[Span]:
    """About equal parts, the outermost ones larger by `outer`."""
    inner = size - 2 * outer
    edges = [0, *(outer + inner * part // parts for part in range(1, parts)), size]
    return list(pairwise(edges))


def _part(graph: RowGraph, first: int, end: int, rows: Span, columns: Span) -> tuple[Pass, int]:
    """What one part needs of the nodes before, as far back as nodes can be split; and the first such node."""
    spans: dict[int, Span] = {}
    needed: dict[int, tuple[Span, Span]] = {graph.nodes[end - 1].makes[0]: (rows, columns)}
    made: dict[int, Span] = {}
    for node in range(end - 1, first - 1, -1):
        info = graph.nodes[node]
        if len(info.makes) != 1 or info.makes[0] not in needed or (node < end - 1 and _leaves(graph, node, end)):
            return Pass(spans, made), node + 1
        steps, wide = needed[info.makes[0]]
        reads = _needs_of_part(graph, node, steps, wide)
        if reads is None:
            return Pass(spans, made), node + 1
        spans[node], made[info.makes[0]] = steps, wide
        for value, (low, high) in reads.items():
            known = needed.get(value, (low, high))
            needed[value] = (_union(known[0], low), _union(known[1], high))
    return Pass(spans, made), first


def _union(a: Span, b: Span) -> Span:
    return min(a[0], b[0]), max(a[1], b[1])


def _at_least_one(span: Span, size: int) -> Span:
    """A span that holds something: what reads nothing, such as a row of padding, still has an operand."""
    first = min(span[0], size - 1)
    return first, max(span[1], first + 1)


def _needs_of_part(graph: RowGraph, node: int, steps: Span, columns: Span) -> dict[int, tuple[Span, Span]] | None:
    """The rows and columns of each home that a part of a node's output needs; None where it cannot be split."""
    known, key = graph.found.needs, (node, steps, columns)
    if key not in known:
        known[key] = _find_needs(graph, node, steps, columns)
    return known[key]


def _find_needs(graph: RowGraph, node: int, steps: Span, columns: Span) -> dict[int, tuple[Span, Span]] | None:
    info = graph.nodes[node]
    if info.node is None:
        return {}
    site = graph.graph.sites[info.node]
    if info.gathers or info.touches_state:
        return None
    spans = site.op.needed_columns(site, columns)
    if spans is None:
        return None
    needs: dict[int, tuple[Span, Span]] = {}
    by_home = {read.home: read for read in info.reads}
    for value, span in zip(graph.graph.nodes[info.node].inputs, spans, strict=True):
        if value is None or value not in by_home:
            if value is not None and value in graph.views:
                return None
            continue
        read = by_home[value]
        home = graph.homes[value]
        rows = _at_least_one((int(read.first[slice(*steps)].min()), int(read.end[steps[1] - 1])), home.rows)
        wide = (0, home.columns) if span is None else _at_least_one(span, home.columns)
        known = needs.get(value, (rows, wide))
        needs[value] = (_union(known[0], rows), _union(known[1], wide))
    return needs


class Parts:
    """What parts of nodes of a graph need, each part looked at once: overlaps and scratch depend on how wide it is."""

    def __init__(self, graph: RowGraph) -> None:
        self.graph = graph

    def distances(self, node: int, steps: Span, columns: Span) -> dict[int, int]:
        """By home, how far before an operand's row an output row must begin, where it may lie over that."""
        return self._facts(node, steps, columns)[0]

    def scratch_bytes(self, node: int, steps: Span, columns: Span) -> int:
        """Working memory of a step of the part."""
        return self._facts(node, steps, columns)[1]

    def layer(self, node: int) -> tuple[dict[int, int], int]:
        """A node as a whole layer: by home, how far before each operand its output must begin; and its scratch."""
        info, graph = self.graph.nodes[node], self.graph
        if node not in self.graph.found.layers:
            distances: dict[int, int] = {}
            scratch = 0
            if info.node is not None:
                site = graph.graph.sites[info.node]
                declared = {overlap.input: overlap.distance for overlap in site.overlaps()}
                distances = home_distances(graph.graph, info.node, graph.views, declared)
                scratch = scratch_bytes(site.lower(graph.rounding))
            self.graph.found.layers[node] = distances, scratch
        return self.graph.found.layers[node]

    def macs(self, node: int, steps: Span, columns: Span) -> int:
        """Multiply-accumulates of the part."""
        info = self.graph.nodes[node]
        if info.gathers or not info.makes:
            return info.macs
        whole = info.steps * self.graph.homes[info.makes[0]].columns
        return info.macs * (steps[1] - steps[0]) * (columns[1] - columns[0]) // max(whole, 1)

    def _facts(self, node: int, steps: Span, columns: Span) -> tuple[dict[int, int], int]:
        info = self.graph.nodes[node]
        whole = info.gathers or not info.makes or info.node is None
        if whole or (steps, columns) == ((0, info.steps), (0, self.graph.homes[info.makes[0]].columns)):
            return {read.home: read.distance for read in info.reads if read.distance is not None}, info.scratch_bytes
        key = (node, steps, columns)
        if key not in self.graph.found.facts:
            self.graph.found.facts[key] = self._look(node, steps, columns)
        return self.graph.found.facts[key]

    def _look(self, node: int, steps: Span, columns: Span) -> tuple[dict[int, int], int]:
        info, graph = self.graph.nodes[node], self.graph
        assert info.node is not None
        full = graph.graph.sites[info.node]
        site = full.op.restricted(full, steps, columns)
        pairs = zip(full.inputs, site.inputs, strict=True)
        if any(a is not None and a.role is Role.CONSTANT and a is not b for a, b in pairs):
            return self._facts_of(info.node, site)
        shapes = tuple(value.type.shape for value in (*site.inputs, *site.outputs) if value is not None)
        key, known = (node, site.op, shapes), graph.found.alike
        if key not in known:
            known[key] = self._facts_of(info.node, site)
        return known[key]

    def _facts_of(self, node: int, site: Site) -> tuple[dict[int, int], int]:
        """Distances by home and scratch of a part of a node of the graph."""
        graph = self.graph
        form = site.op.rows(site)
        declared = {overlap.input: overlap.distance for overlap in site.row_overlaps(form)} if form else {}
        return (
            home_distances(graph.graph, node, graph.views, declared),
            scratch_bytes(site.lower_rows(graph.rounding)),
        )


def part_row_bytes(home: Home, columns: Span) -> int:
    """Bytes of these columns of a row."""
    return home.row_bytes * (columns[1] - columns[0]) // max(home.columns, 1)


def aligned_row_bytes(home: Home, columns: Span) -> int:
    """Bytes that these columns of a row take in the arena: rows that lie apart begin at a multiple of the alignment."""
    size = part_row_bytes(home, columns)
    return size if home.whole else -(-size // home.alignment) * home.alignment


def find_gates(graph: RowGraph) -> tuple[int, ...]:
    """Nodes whose small result, made of all rows of a value, is then applied to those rows: squeeze and excite.

    That is each node that a node with accumulator leads to, whose output is read together with what that one reads.
    """
    gates = []
    for pool, info in enumerate(graph.nodes):
        if not info.accumulator_bytes:
            continue
        for read in info.reads:
            for reader in graph.readers[read.home]:
                for other in graph.nodes[reader].reads:
                    maker = graph.makers.get(other.home, -1)
                    if maker >= pool and pool in _reached(graph, pool, maker, frozenset()):
                        gates.append(maker)
    return tuple(sorted(set(gates)))
