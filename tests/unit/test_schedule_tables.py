"""What is written of a schedule in C: folded orders, the rows of a call, the row of an operand, names of functions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.passes.network import Network
from thimble.codegen.names import stage_names
from thimble.codegen.schedule import MAX_LENGTH, MAX_REPEATS, Repeated, fold
from thimble.codegen.steps import StageSteps, row_expression, steps_of_stages
from thimble.compiler.ir.operator import Span
from thimble.compiler.ops.relu import Relu
from thimble.compiler.plan.plan import Plan, Stage, Step, Tile


def unfolded(parts: list[Repeated]) -> list[int]:
    """The steps that parts stand for, in order."""
    return [stage for part in parts for _ in range(part.repeats) for stage in part.stages]


def numbers(parts: list[Repeated]) -> int:
    """The length of the table that holds parts."""
    return sum(2 + len(part.stages) for part in parts)


def test_a_repetition_is_folded() -> None:
    assert fold([7, *[0, 1, 2] * 5, 9]) == [Repeated(1, (7,)), Repeated(5, (0, 1, 2)), Repeated(1, (9,))]
    assert fold([4] * 10) == [Repeated(10, (4,))]
    assert fold([]) == []


def test_what_does_not_repeat_stays_one_part() -> None:
    assert fold([3, 1, 4, 1, 5]) == [Repeated(1, (3, 1, 4, 1, 5))]
    assert fold([0, 0]) == [Repeated(2, (0,))]  # three numbers, not four


@pytest.mark.parametrize("seed", range(20))
def test_any_order_comes_back_and_fits_its_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < 600:
        order += rng.integers(0, 12, rng.integers(1, 300)).tolist() * int(rng.choice([1, 2, 300]) if seed % 2 else 1)
        order += rng.integers(0, 3, rng.integers(1, 5)).tolist() * int(rng.integers(1, 400))
    order = order[:3000]
    parts = fold(order)
    assert unfolded(parts) == order
    assert all(1 <= part.repeats <= MAX_REPEATS and 1 <= len(part.stages) <= MAX_LENGTH for part in parts)
    assert numbers(parts) <= len(order) + 2 * -(-len(order) // MAX_LENGTH)


def rows_of_call(steps: StageSteps, step: int) -> Span:
    """What the C expressions of a call say, computed in Python: a conditional is the only thing to translate."""
    known = {"step": step}
    for line in steps.declarations:
        name, value = line.removeprefix("const int32_t ").removesuffix(";").split(" = ")
        if "?" in value:
            condition, rest = value.split(" ? ")
            chosen = rest.split(" : ")
            value = f"{chosen[0]} if {condition} else {chosen[1]}"
        known[name] = eval(value, {}, known)
    return eval(steps.first, {}, known), eval(steps.end, {}, known)


@pytest.mark.parametrize(("rows", "rows_a_call"), [(7, 1), (8, 2), (7, 3), (25, 4), (5, 5), (1, 1)])
def test_calls_cover_all_rows_in_order(rows: int, rows_a_call: int) -> None:
    steps = StageSteps(rows, rows_a_call, -(-rows // rows_a_call))
    spans = [rows_of_call(steps, step) for step in range(steps.calls)]
    assert spans[0][0] == 0
    assert spans[-1][1] == rows
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert all(end - first == rows_a_call for first, end in spans[:-1])


@pytest.mark.parametrize(
    ("made_of", "expected"),
    [
        ([0, 1, 2, 3], "y"),
        ([0, 0, 0, 0], "0"),
        ([2, 3, 4, 5], "y + 2"),
        ([1, 3, 5, 7], "2 * y + 1"),
        ([0, 0, 1, 1], "y / 2"),
        ([3, 3, 3], "3"),
    ],
)
def test_the_row_of_an_operand(made_of: list[int], expected: str) -> None:
    assert row_expression(tuple((row, row + 1) for row in made_of), "y") == expected
    for y, row in enumerate(made_of):
        assert eval(expected.replace("/", "//"), {"y": y}) == row


def test_rows_at_an_uneven_pace_are_refused() -> None:
    with pytest.raises(ValueError, match="even pace"):
        row_expression(((0, 1), (1, 2), (5, 6)), "y")


def plan_of(stages: list[Stage], steps: list[Step]) -> Plan:
    """A plan without memory: two tiles, input and output of one node."""
    return Plan((), tuple(stages), (Tile(0, (0, 8), (0, 6)), Tile(1, (0, 8), (0, 6))), tuple(steps), 1, 1)


def names_of(areas: list[tuple[Span, Span]]) -> list[str]:
    """What the functions of stages of one node over these rows and columns are called."""
    network = Network()
    graph = network.graph(network.node(Relu(), network.input((1, 8, 6, 2))))
    stages = [Stage(0, (0,), (1,), rows, columns) for rows, columns in areas]
    return stage_names(graph, plan_of([Stage(None, (), (0,), (0, 8), (0, 6)), *stages], []))


def test_names_tell_the_parts_of_a_node_apart() -> None:
    whole, left, right = ((0, 8), (0, 6)), ((0, 8), (0, 3)), ((0, 8), (3, 6))
    top, below = ((0, 4), (0, 6)), ((4, 8), (0, 6))
    assert names_of([whole]) == ["read_input_0", "layer_00_relu"]
    assert names_of([left, right])[1:] == ["layer_00_relu_strip_0", "layer_00_relu_strip_1"]
    assert names_of([top, below])[1:] == ["layer_00_relu_patch_0", "layer_00_relu_patch_1"]
    assert names_of([whole] * 3)[1:] == ["layer_00_relu", "layer_00_relu_again", "layer_00_relu_again_2"]


def test_steps_of_different_sizes_are_refused() -> None:
    stage = Stage(0, (0,), (1,), (0, 8), (0, 6))
    (steps,) = steps_of_stages(plan_of([stage], [Step(0, 0, 3), Step(0, 3, 6), Step(0, 6, 8)]))
    assert steps == StageSteps(8, 3, 3)
    with pytest.raises(ValueError, match="different numbers of rows"):
        steps_of_stages(plan_of([stage], [Step(0, 0, 3), Step(0, 3, 8)]))
