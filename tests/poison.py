"""C that runs a plan step by step and fills with rubbish what is dead after each: who reads it is found out."""

from __future__ import annotations

from collections.abc import Sequence

from thimble.codegen.layers import lower_graph
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.plan import Buffer, Plan

Gap = tuple[int, int]


def poisoned_invoke(graph: Graph, plan: Plan, name: str, rounding: Rounding) -> str:
    """The function `<name>_poisoned(arena, ctx)`: invoke with dead bytes overwritten before and after every step.

    It stands behind the model's own C, whose functions for the stages it calls.
    """
    lowered = lower_graph(graph, plan, name, rounding)
    functions = {f.stage: f for f in (*lowered.readers, *lowered.layers)}
    cases, counts = [], [0] * len(plan.stages)
    for f in functions.values():
        arguments = f"arena{', ctx' if f.is_reader else ''}{', step' if f.streamed else ''}"
        call = f"return {f.function}({arguments});" if f.is_reader else f"{f.function}({arguments}); return 0;"
        cases.append(f"    case {f.stage}: {call}")
    steps, gaps = [], [*_gaps(plan, -1)]
    steps.append((-1, 0, len(gaps), -1, 0))
    guards = {guard.stage: (plan.value_offset(guard.flag), int(guard.wanted)) for guard in plan.guards}
    for number, step in enumerate(plan.steps):
        if step.stage in functions:
            dead = _gaps(plan, number)
            gaps += dead
            steps.append((step.stage, counts[step.stage], len(dead), *guards.get(step.stage, (-1, 0))))
            counts[step.stage] += 1
    return _TEXT.format(
        name=name, cases="\n".join(cases), steps=_rows(steps), gaps=_rows(gaps or [(0, 0)]), count=len(steps)
    )


_TEXT = """
static int {name}_stage(uint8_t *arena, void *ctx, int32_t stage, int32_t step) {{
    (void)ctx;
    (void)step;
    switch (stage) {{
{cases}
    default: return 0;
    }}
}}

static int {name}_poisoned(uint8_t *arena, void *ctx) {{
    static const int32_t steps[][5] = {{{steps}}};
    static const int32_t gaps[][2] = {{{gaps}}};
    const int32_t(*gap)[2] = gaps;
    for (int i = 0; i < {count}; i++) {{
        const int runs = steps[i][3] < 0 || (arena[steps[i][3]] != 0) == steps[i][4];
        if (runs && {name}_stage(arena, ctx, steps[i][0], steps[i][1]) != 0) {{
            return 1;
        }}
        for (int32_t n = 0; n < steps[i][2]; n++, gap++) {{
            memset(arena + (*gap)[0], 0x55, (size_t)((*gap)[1] - (*gap)[0]));
        }}
    }}
    return 0;
}}
"""


def _rows(rows: Sequence[tuple[int, ...]]) -> str:
    return ",\n        ".join("{" + ", ".join(map(str, row)) + "}" for row in rows)


def _gaps(plan: Plan, step: int) -> list[Gap]:
    """The parts of the arena that hold nothing after a step; before the first one where it is -1."""
    gaps, end = [], 0
    for buffer in sorted((b for b in plan.buffers if _outlives(plan, b, step)), key=lambda b: b.offset):
        if buffer.offset > end:
            gaps.append((end, buffer.offset))
        end = max(end, buffer.end)
    return [*gaps, (end, plan.arena_bytes)] if end < plan.arena_bytes else gaps


def _outlives(plan: Plan, buffer: Buffer, step: int) -> bool:
    """Whether a buffer's contents are still needed behind a step; those at the last one are what the caller reads."""
    after = min(step + 1, len(plan.steps) - 1)
    return buffer.first_step <= max(step, 0) and after <= buffer.last_step
