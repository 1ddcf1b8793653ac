"""Nodes that run by a flag: which they are, how their buffers lie, and plans that the checker must refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from thimble.compiler.ir.graph import Graph, Node, Role, Value, verify
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import DType, QuantParams, TensorType
from thimble.compiler.ops.has_outliers import HasOutliers
from thimble.compiler.ops.relu import Relu
from thimble.compiler.ops.select import Select
from thimble.compiler.plan.checker import PlanError, check_plan
from thimble.compiler.plan.guards import MOST_FLAGS, Flag, at_worst, find_flags
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.order import reorder
from thimble.compiler.plan.plan import Guard, Plan

IMAGE = TensorType((1, 4, 4, 8), DType.INT8, QuantParams((0.5,), (0,)))
BIT = TensorType((1, 1, 1, 1), DType.BOOL)


class Net:
    """A graph written node by node; methods give the index of the new value."""

    def __init__(self) -> None:
        self.values = [Value("x", IMAGE, Role.INPUT)]
        self.nodes: list[Node] = []

    def add(self, op: Operator, *inputs: int, type_: TensorType = IMAGE) -> int:
        self.values.append(Value(f"v{len(self.values)}", type_))
        made = len(self.values) - 1
        self.nodes.append(Node(op, inputs, (made,), f"operator {len(self.nodes)}"))
        return made

    def flag(self, x: int, low: int = -100, high: int = 100) -> int:
        return self.add(HasOutliers(low, high), x, type_=BIT)

    def graph(self, *outputs: int) -> Graph:
        graph = Graph("net", tuple(self.values), tuple(self.nodes), (0,), outputs)
        verify(graph)
        return graph


def branches(count: int = 1) -> Graph:
    """`count` flags one behind the other, each with two branches of two nodes; the input is read at last again."""
    net, x = Net(), 0
    for _ in range(count):
        flag = net.flag(x)
        one = net.add(Relu(), net.add(Relu(), x))
        other = net.add(Relu(), net.add(Relu(), x))
        x = net.add(Select(), flag, one, other)
    return net.graph(net.add(Relu(), x), net.add(Relu(), 0))


def guarded(graph: Graph) -> dict[int, Flag]:
    return find_flags(graph)


def test_branches_are_guarded_by_their_flag() -> None:
    graph = branches()
    assert guarded(graph) == {1: Flag(1, True), 2: Flag(1, True), 3: Flag(1, False), 4: Flag(1, False)}
    plan = plan_layers(graph)
    assert plan.guards == (Guard(1, 1, True), Guard(2, 1, True), Guard(3, 1, False), Guard(4, 1, False))
    assert not plan_layers(graph, guarded=False).guards
    check_plan(graph, plan)


def test_what_is_read_elsewhere_always_runs() -> None:
    net = Net()
    flag = net.flag(0)
    shared = net.add(Relu(), 0)  # by both branches
    seen = net.add(Relu(), 0)  # by a branch and behind it
    given = net.add(Relu(), 0)  # an output
    one = net.add(Relu(), shared)
    other = net.add(Relu(), shared)
    first = net.add(Select(), flag, one, seen)
    second = net.add(Select(), flag, given, other)
    graph = net.graph(first, second, given, net.add(Relu(), seen))
    assert guarded(graph) == {4: Flag(flag, True), 5: Flag(flag, False)}
    check_plan(graph, plan_layers(graph))


def test_a_branch_that_comes_before_its_flag_runs_always_until_it_is_moved() -> None:
    net = Net()
    one = net.add(Relu(), 0)
    flag = net.flag(0)
    graph = net.graph(net.add(Select(), flag, one, net.add(Relu(), 0)))
    assert guarded(graph) == {2: Flag(flag, False)}
    check_plan(graph, plan_layers(graph))


def test_a_flag_stays_before_its_branches_when_nodes_are_reordered() -> None:
    graph = branches(3)
    assert len(guarded(reorder(graph))) == len(guarded(graph)) == 12


def test_a_choice_within_a_branch_runs_by_the_outer_flag_alone() -> None:
    net = Net()
    outer, inner = net.flag(0), net.flag(0)
    chosen = net.add(Select(), inner, net.add(Relu(), 0), net.add(Relu(), 0))
    graph = net.graph(net.add(Select(), outer, chosen, 0))
    assert guarded(graph) == {step: Flag(outer, True) for step in (1, 2, 3, 4)}
    check_plan(graph, plan_layers(graph))


def test_a_choice_by_several_bools_guards_nothing() -> None:
    net = Net()
    many = net.add(HasOutliers(0, 0), 0, type_=BIT)
    graph = net.graph(net.add(Select(), many, net.add(Relu(), 0), 0))
    wide = replace(graph.values[many], type=replace(BIT, shape=(1, 1, 1, 8)))
    values = (*graph.values[:many], wide, *graph.values[many + 1 :])
    assert guarded(graph)
    assert not guarded(replace(graph, values=values))


def test_very_many_flags_are_not_all_used() -> None:
    flags = {flag.value for flag in guarded(branches(MOST_FLAGS + 3)).values()}
    assert len(flags) == MOST_FLAGS


def test_branches_share_their_memory() -> None:
    """A node of a branch may write where the other branch's result would lie."""
    graph = branches()
    assert plan_layers(graph).arena_bytes < plan_layers(graph, guarded=False).arena_bytes


@pytest.fixture(scope="module")
def graph() -> Graph:
    return branches(2)


@pytest.fixture(scope="module")
def plan(graph: Graph) -> Plan:
    made = plan_layers(graph)
    check_plan(graph, made)
    return made


def refuses(graph: Graph, plan: Plan, guards: Sequence[Guard]) -> None:
    with pytest.raises(PlanError):
        check_plan(graph, replace(plan, guards=tuple(guards)))


def test_checker_refuses_a_guard_the_wrong_way_round(graph: Graph, plan: Plan) -> None:
    for i, guard in enumerate(plan.guards):
        refuses(graph, plan, (*plan.guards[:i], replace(guard, wanted=not guard.wanted), *plan.guards[i + 1 :]))


def test_checker_refuses_a_guard_by_another_flag(graph: Graph, plan: Plan) -> None:
    flags = {guard.flag for guard in plan.guards}
    for i, guard in enumerate(plan.guards):
        (other,) = flags - {guard.flag}
        refuses(graph, plan, (*plan.guards[:i], replace(guard, flag=other), *plan.guards[i + 1 :]))


def test_checker_refuses_a_guard_of_what_all_need(graph: Graph, plan: Plan) -> None:
    flag, behind = plan.guards[0].flag, len(graph.nodes) - 1
    refuses(graph, plan, (*plan.guards, Guard(behind, flag, True)))


def test_checker_refuses_a_guard_that_is_no_flag(graph: Graph, plan: Plan) -> None:
    image = graph.nodes[1].outputs[0]
    refuses(graph, plan, (*plan.guards[1:], replace(plan.guards[0], flag=image)))


def test_checker_refuses_shared_memory_where_both_branches_run(graph: Graph, plan: Plan) -> None:
    """Without guards, the second branch would write over the first one's result."""
    refuses(graph, plan, ())


def test_checker_refuses_a_buffer_over_a_flag(graph: Graph, plan: Plan) -> None:
    flag = next(b for b in plan.buffers if b.value == plan.guards[0].flag)
    caught = 0
    for i, buffer in enumerate(plan.buffers):
        if buffer.value in graph.nodes[1].outputs + graph.nodes[3].outputs:
            moved = replace(buffer, offset=flag.offset)
            buffers = (*plan.buffers[:i], moved, *plan.buffers[i + 1 :])
            size = max(plan.arena_bytes, moved.end)
            with pytest.raises(PlanError):
                check_plan(graph, replace(plan, buffers=buffers, arena_bytes=size))
            caught += 1
    assert caught == 2


def test_flags_stand_in_all_ways_that_three_steps_can_tell_apart() -> None:
    """One branch's result lies where a branch of another flag writes: wrong only where both run."""
    net = Net()
    first, second = net.flag(0), net.flag(0)
    kept = net.add(Relu(), 0)
    lost = net.add(Relu(), 0)
    one = net.add(Select(), first, kept, 0)
    graph = net.graph(one, net.add(Select(), second, lost, 0))
    assert guarded(graph) == {2: Flag(first, True), 3: Flag(second, True)}
    plan = plan_layers(graph)
    check_plan(graph, plan)
    places = {buffer.value: buffer.offset for buffer in plan.buffers}
    moved = [replace(b, offset=places[kept]) if b.value == lost else b for b in plan.buffers]
    with pytest.raises(PlanError, match="overwritten"):
        check_plan(graph, replace(plan, buffers=tuple(moved)))


def test_at_worst_the_dearer_branch_of_each_flag_counts() -> None:
    guards = (Guard(1, 7, True), Guard(2, 7, False), Guard(3, 7, False), Guard(4, 8, True))
    assert at_worst(guards, [(0, 5), (1, 30), (2, 10), (3, 15), (4, 2)]) == 5 + 30 + 2
    assert at_worst(guards, [(0, 5), (1, 20), (2, 10), (3, 15), (4, 2)]) == 5 + 25 + 2
    assert at_worst((), [(0, 5), (0, 6)]) == 11
