"""An independent check of a plan: replays the graph over a model of the arena, byte by byte."""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.plan import Plan


class PlanError(AssertionError):
    """A plan would destroy a tensor that is still needed; always a bug in Thimble."""


def check_plan(graph: Graph, plan: Plan) -> None:
    """Raise PlanError if, at any step, an operand's bytes are not what was written for it.

    Its own code: it trusts the offsets and sizes only, not the lifetimes. Every arena byte carries the number of the
    value that owns it; reading a value whose bytes carry another number means that it was overwritten. Bytes between
    which no buffer begins or ends always share their fate, so one number stands for each such run of them.
    """
    edges = np.unique([0, plan.arena_bytes, *(b.offset for b in plan.buffers), *(b.end for b in plan.buffers)])
    owner = np.full(len(edges), -1, np.int64)
    home = {b.value: b for b in plan.buffers if b.value is not None}
    scratch = {b.step: b for b in plan.buffers if b.step is not None}

    def runs(offset: int, size: int) -> Array:
        first, last = np.searchsorted(edges, (offset, offset + size))
        return owner[first:last]

    def write(number: int, offset: int, size: int, what: str) -> None:
        if offset < 0 or offset + size > plan.arena_bytes:
            raise PlanError(f"{what} lies outside of the arena")
        runs(offset, size)[:] = number

    def read(value: int, what: str) -> None:
        buffer = home[value]
        if (runs(buffer.offset, buffer.bytes) != value).any():
            raise PlanError(f"{what} reads value {value}, whose bytes were overwritten")

    for value in (*graph.states, *graph.inputs):
        if home[value].bytes != graph.values[value].type.bytes:
            raise PlanError(f"value {value} has a buffer of the wrong size")
        write(value, home[value].offset, home[value].bytes, f"value {value}")
    for step, node in enumerate(graph.nodes):
        if step in scratch:
            write(-2 - step, scratch[step].offset, scratch[step].bytes, f"scratch of step {step}")
        for value in node.outputs:
            if home[value].bytes != graph.values[value].type.bytes:
                raise PlanError(f"value {value} has a buffer of the wrong size")
            write(value, home[value].offset, home[value].bytes, f"value {value}")
        for operand in node.inputs:  # after the writes: an output or scratch over a live operand is an error
            if operand is not None and graph.values[operand].role is not Role.CONSTANT:
                read(operand, f"step {step}")
        for value in node.outputs:
            read(value, f"step {step} (its own output)")
        if step in scratch:
            buffer = scratch[step]
            if (runs(buffer.offset, buffer.bytes) != -2 - step).any():
                raise PlanError(f"the scratch of step {step} overlaps an output")
    for value in (*graph.outputs, *graph.states):
        read(value, "the caller")
