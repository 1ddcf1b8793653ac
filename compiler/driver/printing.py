"""A plan as text, for `--emit plan`."""

from __future__ import annotations

from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.plan import Plan


def print_plan(graph: Graph, plan: Plan) -> str:
    """One line a buffer, by offset."""
    lines = [
        f"arena {plan.arena_bytes} bytes in {len(plan.steps)} steps; no layout is below {plan.bound_bytes}; most "
        f"bytes, {plan.live_bytes(plan.peak_step)}, hold something at step {plan.peak_step}"
    ]
    for b in sorted(plan.buffers, key=lambda buffer: (buffer.offset, buffer.first_step)):
        name = "" if b.value is None else f"  {graph.values[b.value].type}"
        lines.append(f"  [{b.offset:7d}, {b.end:7d})  steps {b.first_step:3d} to {b.last_step:3d}  {b.name}{name}")
    return "\n".join(lines) + "\n"
