"""An independent check of a plan: replays the graph over a model of the arena, byte by byte."""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.graph import Graph, Node, Role
from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.access import last_readers
from thimble.compiler.plan.plan import Buffer, BufferKind, Plan


class PlanError(AssertionError):
    """A plan would destroy a tensor that is still needed; always a bug in Thimble."""


def check_plan(graph: Graph, plan: Plan) -> None:
    """Raise PlanError if, at any step, an operand's bytes are not what was written for it.

    Its own code: it trusts the offsets and sizes only, not the lifetimes. Every write stamps its arena bytes with a
    new number; reading a value whose bytes carry another number than its own means that they were overwritten.
    """
    arena = _Arena(graph, plan)
    for value in (*graph.states, *graph.inputs):
        arena.write(value)
    for step, node in enumerate(graph.nodes):
        views = [value for value in node.outputs if value in arena.bases]
        if views:
            arena.look(step, node, views)
        else:
            _run(arena, graph, step, node)
    for value in (*graph.outputs, *graph.states):
        arena.read(value, "the caller")
    _check_interface(graph, arena.bases)


def _check_interface(graph: Graph, bases: dict[int, int]) -> None:
    """An output that is a view must not share its bytes with an input, a state or another output."""
    homes = [bases.get(value, value) for value in graph.outputs]
    for value, home in zip(graph.outputs, homes, strict=True):
        if value in bases and (homes.count(home) > 1 or graph.values[home].role is not Role.ACTIVATION):
            raise PlanError(f"output {value} shares its memory with another part of the interface")


def _run(arena: _Arena, graph: Graph, step: int, node: Node) -> None:
    """Replay one node that computes: what it needs must be whole before, and until it has been read for the last time.

    So scratch must not touch an operand; an output may, where every byte that it takes has been read by then.
    """
    operands = [
        (position, operand)
        for position, operand in enumerate(node.inputs)
        if operand is not None and graph.values[operand].role is not Role.CONSTANT
    ]
    for _, operand in operands:
        arena.read(operand, f"step {step}")
    scratch = arena.write_scratch(step)
    for _, operand in operands:
        arena.read(operand, f"step {step} with its scratch")
    for value in node.outputs:
        arena.write(value)
    for position, operand in operands:
        if arena.is_overwritten(operand):
            _check_overlap(arena, graph, step, position)
    for value in node.outputs:
        arena.read(value, f"step {step} (its own output)")
    if scratch is not None and arena.overwritten(*scratch):
        raise PlanError(f"the scratch of step {step} overlaps an output")
    for position in node.op.state_inputs:
        state = node.inputs[position] if position < len(node.inputs) else None
        if state is not None:
            arena.write(state)  # its contents are new: who looked at the old ones must not read them any more


def _check_overlap(arena: _Arena, graph: Graph, step: int, position: int) -> None:
    """Replay reads and writes of a node whose output overwrites one of its operands, element by element."""
    node, site = graph.nodes[step], graph.sites[step]
    operand = node.inputs[position]
    what = f"step {step} writes its output over input {position}"
    if operand is None or len(node.outputs) != 1 or graph.values[arena.base(operand)].role is Role.STATE:
        raise PlanError(f"{what}, which must stay")
    last = last_readers(site, position)
    if last is None:
        raise PlanError(f"{what}, but nobody knows when {site.op.name} has read it")
    read, written = site.input(position).type, site.output().type
    if read.dtype is not written.dtype and 1 not in (read.dtype.bytes, written.dtype.bytes):
        raise PlanError(f"{what}, and C lets the compiler reorder accesses of such types")
    start = arena.offset(operand) - arena.offset(node.outputs[0])
    firsts = start + np.arange(read.elements) * read.dtype.bytes  # each element's place, seen from the output's start
    touched = (firsts + read.dtype.bytes > 0) & (firsts < written.bytes)
    writers = np.maximum(firsts, 0) // written.dtype.bytes
    if (touched & (writers < last)).any():
        raise PlanError(f"{what} before that has been read")


class _Arena:
    """Who wrote each byte last. Bytes between which no buffer begins or ends share their fate, and one number."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self._graph, self._plan = graph, plan
        ends = [end for b in plan.buffers for end in (b.offset, b.end)]
        self._edges = np.unique([0, plan.arena_bytes, *ends])
        self._stamps = np.full(len(self._edges), -1, np.int64)
        self._homes = {b.value: b for b in plan.buffers if b.value is not None}
        self._scratch = {b.stage: b for b in plan.buffers if b.kind is BufferKind.SCRATCH}
        self._expected: dict[int, int] = {}
        self._writes = 0
        self.bases = {view.value: view.base for view in plan.views}

    def write(self, value: int) -> None:
        """Stamp a value's buffer anew."""
        buffer = self._homes[value]
        if buffer.bytes != self._graph.values[value].type.bytes:
            raise PlanError(f"value {value} has a buffer of the wrong size")
        self._expected[value] = self._stamp(buffer, f"value {value}")

    def write_scratch(self, step: int) -> tuple[Buffer, int] | None:
        """Stamp the scratch memory of a step, which may have none."""
        buffer = self._scratch.get(step)
        return None if buffer is None else (buffer, self._stamp(buffer, f"scratch of step {step}"))

    def look(self, step: int, node: Node, views: list[int]) -> None:
        """A node that does nothing: its output is taken for the bytes that its input has now."""
        source = None if node.op.copied_input is None else node.inputs[node.op.copied_input]
        if source is None or list(node.outputs) != views:
            raise PlanError(f"step {step} computes, but its output is said to be a view")
        base, value = self.bases[views[0]], views[0]
        if base != self.bases.get(source, source) or base not in self._homes:
            raise PlanError(f"value {value} is said to be a view of value {base}, which step {step} does not read")
        self.read(source, f"step {step}")
        if self._graph.values[value].type.bytes != self._graph.values[source].type.bytes:
            raise PlanError(f"value {value} is said to be a view of another size")
        self._expected[value] = self._expected[source]

    def read(self, value: int, what: str) -> None:
        """Raise PlanError unless a value's bytes are still those that were written for it."""
        if self.is_overwritten(value):
            raise PlanError(f"{what} reads value {value}, whose bytes were overwritten")

    def base(self, value: int) -> int:
        """The value in whose buffer a value lies."""
        return self.bases.get(value, value)

    def offset(self, value: int) -> int:
        """Where a value begins."""
        return self._homes[self.base(value)].offset

    def is_overwritten(self, value: int) -> bool:
        """Whether a value's bytes are no longer those that were written for it."""
        return self.overwritten(self._homes[self.base(value)], self._expected[value])

    def overwritten(self, buffer: Buffer, stamp: int) -> bool:
        """Whether any byte of a buffer carries another stamp."""
        return bool((self._range(buffer) != stamp).any())

    def _stamp(self, buffer: Buffer, what: str) -> int:
        if buffer.offset < 0 or buffer.end > self._plan.arena_bytes:
            raise PlanError(f"{what} lies outside of the arena")
        self._writes += 1
        self._range(buffer)[:] = self._writes
        return self._writes

    def _range(self, buffer: Buffer) -> Array:
        first, last = np.searchsorted(self._edges, (buffer.offset, buffer.end))
        return self._stamps[first:last]
