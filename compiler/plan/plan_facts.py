"""What the checker of plans derives from a graph and a plan before it replays any step."""

from __future__ import annotations

from collections import Counter
from functools import cache

from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import Array, Span
from thimble.compiler.plan.access import columns_read, elements_late, last_readers_in_row
from thimble.compiler.plan.plan import BufferKind, Plan, Stage
from thimble.compiler.plan.stamped_arena import PlanError, StampedTile


class PlanFacts:
    """Which values are views, which nodes write states, which stages run by rows, and which parts they make.

    `bases` of views, `writers` of states, `by_rows` of each stage; `form` of a node; `part`, whether it runs
    `in_place`, the `last` readers in a row, and how `late` elements are written, of a stage. Raises PlanError where
    views are none.
    """

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self._graph, self._plan = graph, plan
        self.bases = {view.value: view.base for view in plan.views}
        self._makers = {value: step for step, node in enumerate(graph.nodes) for value in node.outputs}
        self.writers = self._find_writers()
        self._check_views()
        self.form = cache(lambda node: graph.sites[node].op.rows(graph.sites[node]))
        self.part = cache(self._find_part)
        self.last = cache(self._find_last_in_row)
        self.in_place = cache(lambda index: self.part(index).may_overlap(by_rows=True))
        self.late = cache(lambda index: elements_late(self.part(index)))
        self._calls = Counter(step.stage for step in plan.steps)
        self._summing = {b.stage for b in plan.buffers if b.kind is BufferKind.ACCUMULATOR}
        self._apart = {b.tile for b in plan.buffers if b.row is not None}
        self.by_rows = [stage.node is not None and self._runs_by_rows(i) for i, stage in enumerate(plan.stages)]

    def lengths(self, index: int) -> tuple[int, ...]:
        """How many steps a stage may have in all: rows that it makes or reads, or one for a node that runs whole."""
        stage = self._plan.stages[index]
        rows = stage.rows[1] - stage.rows[0]
        if stage.node is None:
            return (rows,)
        form = self.form(stage.node)
        if self.by_rows[index] and form is not None:
            return (form.steps,) if form.accumulator_bytes else (rows,)
        return (1, rows) if form is None else (rows, form.steps)

    def columns(self, stage: Stage, position: int) -> Span | None:
        """The columns of an input that a stage reads; None where its node cannot be split by columns."""
        assert stage.node is not None
        site, form = self._graph.sites[stage.node], self.form(stage.node)
        everything = (0, site.input(position).type.columns)
        summing = form is not None and form.accumulator_bytes > 0
        columns = everything if summing else columns_read(site, position, stage.columns)
        if columns == everything:  # of a view, which may part its row in other columns than its base does
            value = self._graph.nodes[stage.node].inputs[position]
            assert value is not None
            return (0, self._graph.values[self.bases.get(value, value)].type.columns)
        return columns

    def made_columns(self, stage: Stage, value: int) -> Span:
        """The columns of an output that a stage makes: its own are those of the first one, the others may have more."""
        if stage.columns == self.extent(self._plan.tiles[stage.outputs[0]].value)[1]:
            return self.extent(value)[1]
        return stage.columns

    def version(self, base: int, value: int, node: int) -> int:
        """How often a state was written before a node reads it, or looked at it through a view; 0 for all others."""
        looked = node if value == base else self._first_look(base, value)
        return sum(writer < looked for writer in self.writers.get(base, ()))

    def split_tiles(self) -> dict[int, set[int]]:
        """The tiles that are read or written by rows, each with the columns at which that begins or ends."""
        split: dict[int, set[int]] = {}
        for index, stage in enumerate(self._plan.stages):
            if stage.node is not None and not self.by_rows[index]:
                continue
            for tile in stage.outputs:
                split.setdefault(tile, set()).update(self.made_columns(stage, self._plan.tiles[tile].value))
            for position, operand in enumerate(stage.inputs):
                if operand is not None:
                    base = self._plan.tiles[operand].value
                    split.setdefault(operand, set()).update(self.columns(stage, position) or ())
                    split[operand].update((0, self._graph.values[base].type.columns))
        return {i: {c for c in cuts if lies_in((c, c), self._plan.tiles[i].columns)} for i, cuts in split.items()}

    def extent(self, value: int) -> tuple[Span, Span]:
        """All rows and columns of a value."""
        type_ = self._graph.values[value].type
        return (0, type_.rows), (0, type_.columns)

    def is_full(self, tile: StampedTile) -> bool:
        """Whether a tile holds all of its value."""
        return (tile.rows, tile.columns) == self.extent(tile.value)

    def is_all(self, stage: Stage) -> bool:
        """Whether a stage makes all of its node's outputs."""
        assert stage.node is not None
        outputs = self._graph.nodes[stage.node].outputs
        return not outputs or (stage.rows, stage.columns) == self.extent(outputs[0])

    def has_same_rows(self, value: int, base: int) -> bool:
        """Whether the rows of a view are those of its base."""
        a, b = self._graph.values[value].type, self._graph.values[base].type
        return (a.rows, a.row_bytes) == (b.rows, b.row_bytes) and (a.columns == b.columns or a.rows == 1)

    def check_interface(self) -> None:
        """An output that is a view must not share its bytes with an input, a state or another output."""
        graph, bases = self._graph, self.bases
        homes = [bases.get(value, value) for value in graph.outputs]
        for value, home in zip(graph.outputs, homes, strict=True):
            if value in bases and (homes.count(home) > 1 or graph.values[home].role is not Role.ACTIVATION):
                raise PlanError(f"output {value} shares its memory with another part of the interface")

    def _find_part(self, index: int) -> Site:
        """The node of a stage on the part of the output that the stage makes."""
        stage = self._plan.stages[index]
        assert stage.node is not None
        site = self._graph.sites[stage.node]
        return site if self.is_all(stage) else site.op.restricted(site, stage.rows, stage.columns)

    def _find_last_in_row(self, index: int, position: int) -> Array | None:
        return last_readers_in_row(self.part(index), position)

    def _first_look(self, base: int, view: int) -> int:
        """The node that made the view, or the first of a chain of views."""
        maker = self._makers[view]
        source = self._graph.nodes[maker].inputs[self._graph.nodes[maker].op.copied_input or 0]
        return maker if source == base or source is None else self._first_look(base, source)

    def _runs_by_rows(self, index: int) -> bool:
        """Whether a stage runs the row form of its node: unless it is all of it in one step on tiles in one piece."""
        plan, stage = self._plan, self._plan.stages[index]
        assert stage.node is not None
        if self.form(stage.node) is None or any(v in self.bases for v in self._graph.nodes[stage.node].outputs):
            return False
        tiles = {i for i in (*stage.inputs, *stage.outputs) if i is not None}
        parts = any((plan.tiles[i].rows, plan.tiles[i].columns) != self.extent(plan.tiles[i].value) for i in tiles)
        several = self._calls[index] != 1 or index in self._summing
        return bool(tiles & self._apart) or parts or several or not self.is_all(stage)

    def _find_writers(self) -> dict[int, list[int]]:
        """The nodes that write each state."""
        writers: dict[int, list[int]] = {}
        for step, node in enumerate(self._graph.nodes):
            for position in node.op.state_inputs:
                state = node.inputs[position] if position < len(node.inputs) else None
                if state is not None:
                    writers.setdefault(state, []).append(step)
        return writers

    def _check_views(self) -> None:
        """Each view must repeat the bytes of its base, and nothing may be a view twice."""
        values = self._graph.values
        if len(self.bases) != len(self._plan.views):
            raise PlanError("a value is said to be several views")
        for view, base in self.bases.items():
            node = self._graph.nodes[self._makers[view]] if view in self._makers else None
            if node is None or node.op.copied_input is None:
                raise PlanError(f"step {self._makers.get(view)} computes, but its output is said to be a view")
            source = node.inputs[node.op.copied_input]
            if source is None or base in self.bases or self.bases.get(source, source) != base:
                raise PlanError(f"value {view} is said to be a view of value {base}, which it does not repeat")
            if values[view].type.bytes != values[base].type.bytes:
                raise PlanError(f"value {view} is said to be a view of another size")


def lies_in(inner: Span, outer: Span) -> bool:
    """Whether a span is a part of another one."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]
