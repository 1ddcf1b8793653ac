"""Values that repeat the bytes of others share their memory, except where someone could tell the difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.host_batch import run_on_host
from tests.passes.network import Network, draw_samples, run
from thimble.codegen.project import generate_sources
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.relu import Relu
from thimble.compiler.ops.reshape import ExpandDims, Reshape, Squeeze
from thimble.compiler.ops.sigmoid import Tanh
from thimble.compiler.plan.checker import PlanError, check_plan
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.plan import Buffer, BufferKind, Plan, View
from thimble.compiler.plan.views import find_views


def tanh(n: Network, x: int) -> int:
    return n.node(Tanh(), x, scale=1 / 128, zero=0)


def checked(graph: Graph) -> Plan:
    """The plan of a graph, whose C on the host gives the right bytes in an arena filled with rubbish."""
    plan = plan_layers(graph)
    check_plan(graph, plan)
    return plan


def home(plan: Plan, value: int) -> Buffer:
    """The buffer in which a value lies."""
    base = next((view.base for view in plan.views if view.value == value), value)
    return next(b for b in plan.buffers if b.value == base)


def test_a_chain_of_reshapes_takes_no_memory_and_no_code() -> None:
    n = Network()
    x = tanh(n, n.input((2, 30)))
    views = [x]
    for op in (Reshape((60,)), ExpandDims(0), Squeeze(())):
        views.append(n.node(op, views[-1]))
    graph = n.graph(n.node(Relu(), views[-1]))
    plan = checked(graph)
    assert plan.views == tuple(View(v, x) for v in views[1:])
    assert {plan.value_offset(v) for v in views} == {plan.value_offset(x)}
    assert (home(plan, x).first_step, home(plan, x).last_step) == (0, 4)
    text = generate_sources(graph, plan, "m").files["m.c"]
    assert "layer_00_tanh" in text
    assert "layer_04_relu" in text
    assert "copy" not in text


def test_an_input_lends_its_memory_but_not_to_an_output() -> None:
    n = Network()
    x = n.input((2, 30))
    flat = n.node(Reshape((60,)), x)
    assert find_views(n.graph(tanh(n, flat))) == {flat: x}
    assert find_views(n.graph(flat)) == {}
    behind = n.node(Reshape((30, 2)), flat)
    assert find_views(n.graph(behind)) == {flat: x}


def test_an_output_may_be_a_view_of_what_was_computed() -> None:
    n = Network()
    x = tanh(n, n.input((2, 30)))
    flat = n.node(Reshape((60,)), x)
    tanh(n, n.node(Relu(), x))
    plan = checked(n.graph(flat))
    assert (home(plan, flat).kind, home(plan, flat).value) == (BufferKind.OUTPUT, x)
    assert home(plan, flat).last_step == len(plan.steps) - 1


def test_two_outputs_never_share_memory() -> None:
    n = Network()
    x = tanh(n, n.input((2, 30)))
    a, b = n.node(Reshape((60,)), x), n.node(Reshape((1, 60)), x)
    assert find_views(n.graph(x, a)) == {b: x}
    assert find_views(n.graph(a, b)) == {a: x}
    c = n.node(Reshape((6, 10)), a)
    assert find_views(n.graph(c, b)) == {a: x, b: x} or find_views(n.graph(c, b)) == {a: x, c: x}


def test_constants_are_copied() -> None:
    n = Network()
    flat = n.node(Reshape((4,)), n.constant(np.ones((2, 2), np.int8)))
    assert find_views(n.graph(n.node(Relu(), flat))) == {}


def streaming(read_after_write: bool) -> tuple[Graph, int, int]:
    """A graph that reads a state and writes it, and reads the value it had before, or after, that."""
    n = Network()
    x, state = n.input((1, 40)), n.state((1, 40))
    before = n.read(state)
    flat = n.node(Reshape((40,)), before)
    y = n.node(Add(Activation.NONE), x, before)
    if read_after_write:
        n.assign(state, y)
    z = tanh(n, flat)
    if not read_after_write:
        n.assign(state, y)
    return n.graph(y, z), state, flat


@pytest.mark.parametrize("read_after_write", [False, True])
def test_a_state_is_read_in_place_until_it_is_written(read_after_write: bool, tmp_path: Path) -> None:
    graph, state, flat = streaming(read_after_write)
    plan = checked(graph)
    assert home(plan, flat).value == (flat if read_after_write else state)
    samples = draw_samples(graph)
    (got,) = run_on_host([graph], [samples], tmp_path)
    assert [[a.tobytes() for a in outputs] for outputs in got] == run(graph, samples)


def test_the_checker_catches_a_state_that_changes_under_a_view() -> None:
    graph, state, flat = streaming(read_after_write=True)
    plan = checked(graph)
    buffers = tuple(b for b in plan.buffers if b.value != flat)
    with pytest.raises(PlanError, match="overwritten"):
        check_plan(graph, replace(plan, buffers=buffers, views=(*plan.views, View(flat, state))))


def simple() -> tuple[Graph, Plan, list[int]]:
    """tanh, reshape, relu, and the plan in which the reshape is a view."""
    n = Network()
    x = n.input((2, 30))
    y = tanh(n, x)
    flat = n.node(Reshape((60,)), y)
    z = n.node(Relu(), flat)
    last = n.node(Add(Activation.NONE), z, flat)
    graph = n.graph(last)
    return graph, checked(graph), [x, y, flat, z, last]


def test_the_checker_catches_a_view_of_the_wrong_value() -> None:
    graph, plan, (x, _, flat, _, _) = simple()
    with pytest.raises(PlanError, match="said to be a view"):
        check_plan(graph, replace(plan, views=(View(flat, x),)))


def test_the_checker_catches_a_computed_value_that_is_said_to_be_a_view() -> None:
    graph, plan, (_, y, flat, z, _) = simple()
    views = (View(flat, y), View(z, y))
    with pytest.raises(PlanError, match="computes, but its output is said to be a view"):
        check_plan(graph, replace(plan, buffers=tuple(b for b in plan.buffers if b.value != z), views=views))


def test_the_checker_catches_a_base_that_dies_before_its_view() -> None:
    graph, plan, (_, y, _, z, _) = simple()
    offset = plan.value_offset(y)
    buffers = tuple(replace(b, offset=offset + 1) if b.value == z else b for b in plan.buffers)
    size = max(b.end for b in buffers)
    with pytest.raises(PlanError):
        check_plan(graph, replace(plan, buffers=buffers, arena_bytes=size))


def test_the_checker_catches_outputs_that_share_memory() -> None:
    n = Network()
    x = tanh(n, n.input((2, 30)))
    flat = n.node(Reshape((60,)), x)
    graph = n.graph(x, flat)
    plan = checked(graph)
    assert not plan.views
    shared = tuple(b for b in plan.buffers if b.value != flat)
    with pytest.raises(PlanError, match="shares its memory"):
        check_plan(graph, replace(plan, buffers=shared, views=(View(flat, x),)))
