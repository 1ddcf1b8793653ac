"""A plan as text, for `--emit plan`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.plan import Buffer, Plan


def print_plan(graph: Graph, plan: Plan) -> str:
    """A line for the arena, one a buffer by offset, and one for the steps that a stage takes in a row."""
    lines = [
        f"arena {plan.arena_bytes} bytes in {len(plan.steps)} steps; no layout is below {plan.bound_bytes}; most "
        f"bytes, {plan.live_bytes(plan.peak_step)}, hold something at step {plan.peak_step}"
    ]
    lines += [f"  block [{b.start:7d}, {b.end:7d})  in {b.memory}" for b in plan.blocks]
    ordered = sorted(plan.buffers, key=lambda buffer: (buffer.offset, buffer.first_step))
    lines += [_buffer_line(graph, plan, buffer) for buffer in ordered]
    return "\n".join([*lines, *_step_lines(graph, plan)]) + "\n"


def _buffer_line(graph: Graph, plan: Plan, b: Buffer) -> str:
    content = "" if b.value is None else f"  {graph.values[b.value].type}"
    if b.tile is not None and b.row is not None:
        columns = plan.tiles[b.tile].columns
        content += f" row {b.row}, columns {columns[0]} to {columns[1] - 1}"
    return f"  [{b.offset:7d}, {b.end:7d})  steps {b.first_step:3d} to {b.last_step:3d}  {b.name}{content}"


def _step_lines(graph: Graph, plan: Plan) -> Iterator[str]:
    guards = {guard.stage: guard for guard in plan.guards}
    for number, group in groupby(range(len(plan.steps)), key=lambda step: plan.steps[step].stage):
        steps = list(group)
        stage = plan.stages[number]
        rows = f"rows {plan.steps[steps[0]].first} to {plan.steps[steps[-1]].end - 1}"
        name = "input" if stage.node is None else f"layer {stage.node} {graph.nodes[stage.node].op.name}"
        guard = guards.get(number)
        where = "" if guard is None else f", where value {guard.flag} is {'true' if guard.wanted else 'false'}"
        yield f"  step {steps[0]:3d} to {steps[-1]:3d}  {name}, stage {number}, {rows}{where}"
