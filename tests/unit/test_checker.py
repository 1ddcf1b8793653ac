"""The checker of plans by rows, strips and patches: it accepts the planner's, and no plan that was made wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.graphs import read_graph
from thimble.compiler.driver import demo
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.window import Axis
from thimble.compiler.plan.access import _under_window
from thimble.compiler.plan.checker import PlanError, check_plan
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import BufferKind, Plan
from thimble.compiler.plan.planner import plan_graph

SCHEDULES = [(schedule, by_rows) for schedule in (Schedule.ROWS, Schedule.PATCH) for by_rows in (False, True)]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(demo.model_path())


def planned(graph: Graph, schedule: Schedule, by_rows: bool) -> Plan:
    return plan_graph(
        graph,
        options=PlanOptions(schedule=schedule, objective=Objective.SRAM, input_by_rows=by_rows, effort=0.05),
    )


@pytest.fixture(scope="module", params=SCHEDULES, ids=lambda p: f"{p[0].value}-{'rows' if p[1] else 'whole'}")
def plan(request: pytest.FixtureRequest, graph: Graph) -> Plan:
    made = planned(graph, *request.param)
    assert len(made.steps) > len(graph.nodes), "the plan is to run by rows"
    return made


def refuses(graph: Graph, plan: Plan) -> bool:
    try:
        check_plan(graph, plan)
    except PlanError:
        return True
    return False


def test_accepts_the_planner(graph: Graph, plan: Plan) -> None:
    check_plan(graph, plan)


def test_refuses_buffers_on_live_ones(graph: Graph, plan: Plan) -> None:
    """A row or an accumulator put where something lies that is born and lives on in its own life, no body of parts."""
    caught = 0
    for i, moved in list(enumerate(plan.buffers))[::3]:
        if moved.row is None and moved.kind is not BufferKind.ACCUMULATOR:
            continue
        for other in plan.buffers:
            inside = moved.first_step < other.first_step < moved.last_step
            if not inside or (other.offset < moved.end and moved.offset < other.end):
                continue
            buffers = (*plan.buffers[:i], replace(moved, offset=other.offset), *plan.buffers[i + 1 :])
            size = max(plan.arena_bytes, other.offset + moved.bytes)
            assert refuses(graph, replace(plan, buffers=buffers, arena_bytes=size)), (moved, other)
            caught += 1
            break
    assert caught > 5


def test_refuses_every_dropped_step(graph: Graph, plan: Plan) -> None:
    for i in range(len(plan.steps)):
        assert refuses(graph, replace(plan, steps=plan.steps[:i] + plan.steps[i + 1 :])), i


def test_refuses_steps_before_what_they_need(graph: Graph, plan: Plan) -> None:
    """Two steps in a row of which the second reads what the first writes."""
    caught = 0
    for i, (a, b) in enumerate(pairwise(plan.steps)):
        made = set(plan.stages[a.stage].outputs)
        if a.stage != b.stage and made & {t for t in plan.stages[b.stage].inputs if t is not None}:
            swapped = (*plan.steps[:i], b, a, *plan.steps[i + 2 :])
            if refuses(graph, replace(plan, steps=swapped)):
                caught += 1
            else:
                # What the first wrote is not among the rows that the second reads: the order does not matter.
                check_plan(graph, replace(plan, steps=swapped))
    assert caught > 10


def smaller_tiles(plan: Plan) -> Iterator[Plan]:
    """Each tile without its last row or its last column, with buffers to match."""
    for i, tile in enumerate(plan.tiles):
        mine = [b for b in plan.buffers if b.tile == i]
        rows, columns = tile.rows[1] - tile.rows[0], tile.columns[1] - tile.columns[0]
        if not mine:
            continue
        whole = mine[0].row is None
        if rows > 1:
            shrunk = replace(tile, rows=(tile.rows[0], tile.rows[1] - 1))
            buffers = tuple(
                replace(b, bytes=b.bytes // rows * (rows - 1)) if b.tile == i and whole else b
                for b in plan.buffers
                if b.tile != i or b.row is None or b.row < tile.rows[1] - 1
            )
            yield replace(plan, tiles=(*plan.tiles[:i], shrunk, *plan.tiles[i + 1 :]), buffers=buffers)
        if columns > 1:
            shrunk = replace(tile, columns=(tile.columns[0], tile.columns[1] - 1))
            buffers = tuple(
                replace(b, bytes=b.bytes // columns * (columns - 1)) if b.tile == i else b for b in plan.buffers
            )
            yield replace(plan, tiles=(*plan.tiles[:i], shrunk, *plan.tiles[i + 1 :]), buffers=buffers)


def test_refuses_every_smaller_tile(graph: Graph, plan: Plan) -> None:
    """But for what nobody reads: rows and columns of the input behind the last window."""
    accepted = [smaller for smaller in smaller_tiles(plan) if not refuses(graph, smaller)]
    assert not accepted


def test_refuses_stages_that_leave_something_out(graph: Graph, plan: Plan) -> None:
    for i, stage in enumerate(plan.stages):
        if stage.node is None:
            continue
        for part in (
            replace(stage, rows=(stage.rows[0] + 1, stage.rows[1])),
            replace(stage, columns=(stage.columns[0], stage.columns[1] - 1)),
            replace(stage, outputs=()),
            replace(stage, inputs=stage.outputs),
        ):
            assert refuses(graph, replace(plan, stages=(*plan.stages[:i], part, *plan.stages[i + 1 :]))), part


def test_refuses_lost_and_doubled_buffers(graph: Graph, plan: Plan) -> None:
    for i, buffer in list(enumerate(plan.buffers))[::3]:
        if buffer.tile is not None:
            lost = plan.buffers[:i] + plan.buffers[i + 1 :]
            assert refuses(graph, replace(plan, buffers=lost)), buffer
            assert refuses(graph, replace(plan, buffers=(*plan.buffers, buffer))), buffer


def test_refuses_an_output_row_too_close_above_a_dying_one(graph: Graph) -> None:
    """Every row that lies over a row which dies at its birth, moved by one row unit up at a time: until it may not."""
    plan = planned(graph, Schedule.ROWS, True)
    refused = 0
    for i, over in enumerate(plan.buffers):
        for under in plan.buffers:
            sliding = over.row is not None and over.first_step == under.last_step and under.row is not None
            if not sliding or over is under or not (over.offset < under.end and under.offset < over.end):
                continue
            step = plan.steps[over.first_step]
            operator = graph.nodes[plan.stages[step.stage].node or 0].op
            if isinstance(operator, (Conv2D, Pool2D)) and over.tile in plan.stages[step.stage].outputs:
                buffers = list(plan.buffers)
                buffers[i] = replace(over, offset=under.offset + under.bytes // 8 * 4)
                size = max(plan.arena_bytes, buffers[i].end)
                refused += refuses(graph, replace(plan, buffers=tuple(buffers), arena_bytes=size))
    assert refused > 0


def test_positions_under_windows() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        size, kernel, stride, dilation, pad = (int(n) for n in rng.integers(1, (20, 8, 5, 5, 8)))
        axis = Axis(size, kernel, stride, dilation, 30, pad)
        for output in range(30):
            taps = (output * stride - pad + tap * dilation for tap in range(kernel))
            assert list(_under_window(axis, output)) == [p for p in taps if 0 <= p < size], (axis, output)
