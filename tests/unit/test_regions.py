"""Bodies in several memories: the hottest in the fastest, groups together, nothing over a size; and its checker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest

from tests.models.branched import build_u_net
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Graph
from thimble.compiler.passes.pipeline import PASSES, run_passes
from thimble.compiler.plan.accesses import count_accesses
from thimble.compiler.plan.checker import PlanError, check_plan
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import Block, Plan
from thimble.compiler.plan.planner import plan_graph
from thimble.compiler.plan.regions import Bodies, Region, Spread, assign_regions, spread, waits
from thimble.compiler.plan.requests import Request, Slide

SLOW, FAST = Region("slow", 1024, 2), Region("fast", 256, 0)


def blocks_of(sizes: Sequence[int], last: int = 0) -> tuple[Request, ...]:
    return tuple(Request.block(0, last, size) for size in sizes)


def bodies(sizes: Sequence[int], accesses: Sequence[int]) -> Bodies:
    """Bodies that are all live at once, each in a group of its own."""
    return Bodies(blocks_of(sizes), (), tuple(range(len(sizes))), tuple(accesses))


def region_names(found: Spread) -> list[str]:
    return [next(b.memory for b in found.blocks if b.start <= at < b.end) for at in found.offsets]


def test_the_most_read_bytes_lie_in_the_fastest_memory() -> None:
    asked = bodies([200, 200, 200], [100, 900, 500])
    found = spread(asked, (SLOW, FAST), 0.0)
    assert found is not None
    assert region_names(found) == ["slow", "fast", "slow"]
    assert waits(asked, (FAST, SLOW), [1, 0, 1]) == 2 * 600


def test_heat_is_counted_for_each_byte() -> None:
    found = spread(bodies([256, 64, 64, 64], [1000, 600, 600, 500]), (SLOW, FAST), 0.0)
    assert found is not None
    assert region_names(found) == ["slow", "fast", "fast", "fast"]


def test_what_fits_the_fastest_memory_is_one_block_there() -> None:
    found = spread(bodies([64, 64], [1, 1]), (SLOW, FAST), 0.0)
    assert found is not None
    assert found.blocks == (Block("fast", 0, 128),)


def test_too_much_for_one_memory_is_spread_and_too_much_for_all_is_refused() -> None:
    hot = bodies([60, 1000, 250], [9000, 1, 1])  # by heat alone the fast memory is full before the last one
    found = spread(hot, (replace(SLOW, bytes=1072), FAST), 0.0)
    assert found is not None
    assert region_names(found) == ["slow", "slow", "fast"]
    assert spread(hot, (SLOW, replace(FAST, bytes=240)), 1.0) is None


def test_a_slide_across_memories_is_no_slide() -> None:
    """The two share all their bytes only if they lie in one memory: apart, each counts in full."""
    asked = Bodies((Request.block(0, 1, 240), Request.block(1, 2, 240)), (Slide(1, 0, 0),), (0, 1), (10, 10))
    found = spread(asked, (SLOW, FAST), 0.0)
    assert found is not None
    assert found.offsets[0] >= found.offsets[1]
    assert [b.memory for b in found.blocks] == ["fast"]


@pytest.mark.parametrize("seed", range(30))
def test_random_bodies_keep_apart_within_sizes(seed: int) -> None:
    random = Random(seed)
    requests = []
    for _ in range(random.randint(2, 25)):
        first = random.randrange(12)
        requests.append(Request.block(first, first + random.randrange(4), random.randint(1, 90), random.choice((4, 8))))
    groups = tuple(random.randrange(8) for _ in requests)
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    asked = Bodies(
        tuple(requests), (), tuple(numbers[g] for g in groups), tuple(random.randint(0, 999) for _ in numbers)
    )
    regions = tuple(Region(f"r{i}", random.choice((128, 256, 400)), i) for i in range(3))
    for homes in assign_regions(asked, regions):
        assert len(homes) == len(numbers)
    found = spread(asked, regions, 0.0)
    if found is None:
        assert sum(r.bytes for r in requests) > 128
        return
    names = region_names(found)
    sizes = {r.name: r.bytes for r in regions}
    assert all(b.bytes <= sizes[b.memory] and b.start % 16 == 0 for b in found.blocks)
    assert len({(group, name) for group, name in zip(asked.groups, names, strict=True)}) == len(numbers)
    for (r, at), (other, place) in combinations(zip(requests, found.offsets, strict=True), 2):
        assert at % r.alignment == 0
        if r.first <= other.last and other.first <= r.last:
            assert at + r.bytes <= place or place + other.bytes <= at
    for r, at in zip(requests, found.offsets, strict=True):
        assert any(b.start <= at and at + r.bytes <= b.end for b in found.blocks)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return run_passes(import_tflite(build_u_net(16, 2), "u_net"), PASSES)


def in_two(graph: Graph, schedule: Schedule, objective: Objective = Objective.BALANCED) -> Plan:
    """A plan that fits only over two memories, the fast one the smaller."""
    size = plan_graph(graph, options=PlanOptions(schedule, objective, effort=0.0)).arena_bytes
    regions = (Region("main", size * 3 // 4 // 16 * 16, 3), Region("fast", size // 2 // 16 * 16, 0))
    plan = plan_graph(graph, options=PlanOptions(schedule, objective, regions=regions, effort=0.0))
    sizes = {r.name: r.bytes for r in regions}
    assert {b.memory for b in plan.blocks} == set(sizes)
    assert all(b.bytes <= sizes[b.memory] for b in plan.blocks)
    return plan


@pytest.mark.parametrize("schedule", [Schedule.LAYER, Schedule.ROWS])
def test_a_plan_over_two_memories_passes_the_checker(schedule: Schedule, graph: Graph) -> None:
    check_plan(graph, in_two(graph, schedule))


def test_rows_of_a_tile_lie_in_one_memory(graph: Graph) -> None:
    plan = in_two(graph, Schedule.ROWS)
    rows = [b for b in plan.buffers if b.row is not None]
    assert rows
    memories: dict[int | None, set[str]] = {}
    for buffer in rows:
        memories.setdefault(buffer.tile, set()).add(plan.block_at(buffer.offset).memory)
    assert all(len(found) == 1 for found in memories.values())


@pytest.mark.parametrize("wrong", ["gap", "overlap", "one memory twice", "a block too few", "misaligned"])
def test_the_checker_refuses_wrong_blocks(wrong: str, graph: Graph) -> None:
    plan = in_two(graph, Schedule.LAYER)
    first, second = plan.blocks
    blocks = {
        "gap": (first, replace(second, start=second.start + 16)),
        "overlap": (replace(first, bytes=first.bytes + 16), second),
        "one memory twice": (first, replace(second, memory=first.memory)),
        "a block too few": (first,),
        "misaligned": (replace(first, bytes=first.bytes - 4), Block("fast", first.end - 4, second.bytes + 4)),
    }
    with pytest.raises(PlanError):
        check_plan(graph, replace(plan, blocks=blocks[wrong]))


def test_the_checker_refuses_a_buffer_in_two_blocks(graph: Graph) -> None:
    plan = plan_layers(graph)
    border = next(b for b in plan.buffers if b.bytes > 64).offset // 16 * 16 + 32
    size = -(-plan.arena_bytes // 16) * 16
    blocks = (Block("a", 0, border), Block("b", border, size - border))
    with pytest.raises(PlanError, match="in several"):
        check_plan(graph, replace(plan, arena_bytes=size, blocks=blocks))


def test_one_block_unless_it_helps(graph: Graph) -> None:
    regions = (Region("main", 1 << 16, 0), Region("fast", 256, 0))
    plan = plan_graph(graph, options=PlanOptions(regions=regions, effort=0.0))
    assert plan.blocks == ()
    assert plan.buffers == plan_graph(graph, options=PlanOptions(effort=0.0)).buffers


def test_latency_takes_the_faster_memory(graph: Graph) -> None:
    regions = (Region("main", 1 << 16, 2), Region("fast", 2048, 0))
    plan = plan_graph(graph, options=PlanOptions(objective=Objective.LATENCY, regions=regions, effort=0.0))
    check_plan(graph, plan)
    assert {block.memory for block in plan.blocks} == {"main", "fast"}


def test_operands_of_convolutions_are_read_for_each_multiply_accumulate(graph: Graph) -> None:
    plan = plan_layers(graph)
    counts = count_accesses(graph, plan.stages, plan.tiles, plan.steps, {}, plan.buffers)
    step, site = next((i, s) for i, s in enumerate(graph.sites) if s.op.name == "conv_2d")
    (image,) = graph.inputs
    assert graph.nodes[step].inputs[0] == image
    assert counts["tile", image] == site.op.macs(site)
    (output,) = graph.outputs
    assert counts["tile", output] == graph.values[output].type.bytes
