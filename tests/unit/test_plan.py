"""The layout: no two live buffers overlap; the checker catches plans that are wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graphs import read_graph
from thimble.compiler.driver import demo
from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.checker import PlanError, check_plan
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.layout import Request, arena_bytes, lower_bound, place
from thimble.compiler.plan.plan import BufferKind, Plan

requests = st.lists(
    st.builds(
        lambda first, length, size, alignment: Request.block(first, first + length, size, alignment),
        st.integers(0, 20),
        st.integers(0, 10),
        st.integers(1, 1000),
        st.sampled_from([4, 8]),
    ),
    max_size=30,
)


@given(requests)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_live_buffers_never_overlap(items: list[Request]) -> None:
    offsets = place(items)
    for i, a in enumerate(items):
        assert offsets[i] % a.alignment == 0
        for j in range(i):
            b = items[j]
            if a.first <= b.last and b.first <= a.last:
                assert offsets[i] + a.bytes <= offsets[j] or offsets[j] + b.bytes <= offsets[i]
    assert arena_bytes(items, offsets) >= lower_bound(items)


def test_buffers_that_never_meet_share_memory() -> None:
    assert place([Request.block(0, 1, 100), Request.block(2, 3, 100)]) == (0, 0)


def test_lower_bound_is_the_fullest_step() -> None:
    assert lower_bound([Request.block(0, 1, 10), Request.block(1, 2, 20), Request.block(2, 2, 5)]) == 30


@pytest.fixture(scope="module")
def planned() -> tuple[Graph, Plan]:
    graph = read_graph(demo.model_path())
    return graph, plan_layers(graph)


def test_checker_accepts_the_planner(planned: tuple[Graph, Plan]) -> None:
    check_plan(*planned)


def test_plan_reaches_its_bound(planned: tuple[Graph, Plan]) -> None:
    assert planned[1].arena_bytes == planned[1].bound_bytes


def test_checker_catches_every_buffer_moved_onto_a_live_one(planned: tuple[Graph, Plan]) -> None:
    graph, plan = planned
    caught = 0
    for i, moved in enumerate(plan.buffers):
        for other in plan.buffers:
            together = moved.first_step <= other.last_step and other.first_step <= moved.last_step
            if other is moved or not together or moved.offset == other.offset:
                continue
            buffers = list(plan.buffers)
            buffers[i] = replace(moved, offset=other.offset)
            size = max(plan.arena_bytes, buffers[i].end)
            with pytest.raises(PlanError):
                check_plan(graph, replace(plan, buffers=tuple(buffers), arena_bytes=size))
            caught += 1
    assert caught > 10


def test_checker_catches_a_buffer_outside_of_the_arena(planned: tuple[Graph, Plan]) -> None:
    graph, plan = planned
    with pytest.raises(PlanError):
        check_plan(graph, replace(plan, arena_bytes=plan.arena_bytes - 1))


def test_io_bytes_are_inputs_and_outputs(planned: tuple[Graph, Plan]) -> None:
    graph, plan = planned
    io = sum(graph.values[i].type.bytes for i in (*graph.inputs, *graph.outputs))
    assert plan.bytes_of(BufferKind.INPUT, BufferKind.OUTPUT) == io == 28 * 28 + 10
