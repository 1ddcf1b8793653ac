"""The order of nodes: as good as the best of all orders on small graphs, sound and quick on large ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.graph_draw import Choices
from tests.e2e.graph_ops import draw_model
from tests.graphs import graph_of
from thimble.compiler.ir.graph import verify
from thimble.compiler.ops.executor import Executor
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.order import in_order, memory_of, reorder
from thimble.compiler.plan.order_search import Block, Step, find_order, peak_bytes

Memory = tuple[list[Step], list[Block]]


def draw(rng: np.random.Generator, nodes: int, reach: int = 4, hazards: bool = True) -> Memory:
    """A random graph: each node reads some of the last `reach` blocks; sizes repeat, so that there are ties."""
    sizes = rng.choice([1, 2, 3, 5, 8, 13, 40], nodes + 1)
    users: list[set[int]] = [set() for _ in range(nodes + 1)]
    steps = []
    for node in range(nodes):
        count = int(rng.integers(1, 4))
        reads = {int(max(node - rng.integers(0, reach), 0)) for _ in range(count)}
        for block in reads:
            users[block].add(node)
        after = {block - 1 for block in reads if block}
        if hazards and node > 2 and rng.random() < 0.1:
            after.add(int(rng.integers(0, node)))
        scratch = int(rng.choice([0, 0, 0, 4, 20]))
        reuse = tuple((b, int(rng.integers(0, min(sizes[b], sizes[node + 1]) + 1))) for b in reads)
        steps.append(Step(frozenset(after), scratch, reuse if rng.random() < 0.5 else ()))
    blocks = [
        Block(int(sizes[i]), i - 1 if i else None, frozenset(users[i]), i == nodes or bool(rng.random() < 0.1))
        for i in range(nodes + 1)
    ]
    return steps, blocks


def all_orders(steps: list[Step], done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    if len(done) == len(steps):
        yield done
    for node in set(range(len(steps))) - set(done):
        if steps[node].after <= set(done):
            yield from all_orders(steps, (*done, node))


def naive_peak(steps: list[Step], blocks: list[Block], order: tuple[int, ...]) -> int:
    """Written from the definition, with lifetimes."""
    at = {node: place for place, node in enumerate(order)}
    lives = []
    for block in blocks:
        first = 0 if block.maker is None else at[block.maker]
        last = len(order) - 1 if block.kept else max([first, *(at[user] for user in block.users)])
        lives.append((first, last))
    peaks = []
    for place, node in enumerate(order):
        live = sum(b.bytes for b, (first, last) in zip(blocks, lives, strict=True) if first <= place <= last)
        made = sum(b.bytes for b in blocks if b.maker == node)
        reuse = sum(size for b, size in steps[node].reuse if lives[b][1] == place and not blocks[b].kept)
        peaks.append(live + steps[node].scratch - min(reuse, made))
    return max(peaks)


@pytest.mark.parametrize("seed", range(150))
def test_no_order_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps, blocks = draw(rng, int(rng.integers(3, 8)))
    found = find_order(steps, blocks)
    assert found.proved
    assert found.order in set(all_orders(steps))
    assert found.peak_bytes == naive_peak(steps, blocks, found.order)
    assert found.peak_bytes == min(naive_peak(steps, blocks, order) for order in all_orders(steps))


@pytest.mark.parametrize("seed", range(20))
def test_peak_is_that_of_the_lifetimes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps, blocks = draw(rng, 30)
    order = tuple(range(30))
    assert peak_bytes(steps, blocks, order) == naive_peak(steps, blocks, order)


def is_legal(steps: list[Step], order: tuple[int, ...]) -> bool:
    at = {node: place for place, node in enumerate(order)}
    return sorted(order) == list(range(len(steps))) and all(
        at[before] < at[node] for node, step in enumerate(steps) for before in step.after
    )


@pytest.mark.parametrize("seed", range(4))
def test_without_a_full_search_orders_stay_legal_and_no_worse(seed: int) -> None:
    """A limit of a few states leaves the work to beams and windows, on graphs where the optimum is known too."""
    steps, blocks = draw(np.random.default_rng(seed), 60, reach=6)
    quick, exact = find_order(steps, blocks, states=5), find_order(steps, blocks)
    given = peak_bytes(steps, blocks, tuple(range(60)))
    assert is_legal(steps, quick.order)
    assert exact.proved
    assert exact.peak_bytes <= quick.peak_bytes == naive_peak(steps, blocks, quick.order) <= given


def draw_cells(rng: np.random.Generator, cells: int, branches: int, length: int) -> Memory:
    """Cells one behind the other, as architecture search makes them: parallel chains from one block that join again."""
    steps: list[Step] = []
    made: list[tuple[int, int | None]] = [(100, None)]
    users: list[set[int]] = [set()]

    def add(reads: list[int], size: int) -> int:
        for block in reads:
            users[block].add(len(steps))
        made.append((size, len(steps)))
        users.append(set())
        steps.append(Step(frozenset(block - 1 for block in reads if block)))
        return len(steps)

    joint = 0
    for _ in range(cells):
        ends = [joint] * branches
        for _ in range(length):
            ends = [add([end], int(rng.choice([16, 20, 32, 64, 96]))) for end in ends]
        joint = add(ends, 100)
    blocks = [Block(size, maker, frozenset(u), not u) for (size, maker), u in zip(made, users, strict=True)]
    return steps, blocks


@pytest.mark.parametrize(("cells", "branches"), [(12, 4), (5, 10), (3, 16)])
def test_200_nodes_in_cells_are_proved(cells: int, branches: int) -> None:
    steps, blocks = draw_cells(np.random.default_rng(1), cells, branches, 4)
    found = find_order(steps, blocks)
    assert len(steps) >= 195
    assert found.proved
    assert is_legal(steps, found.order)
    assert found.peak_bytes == naive_peak(steps, blocks, found.order)
    assert found.peak_bytes < peak_bytes(steps, blocks, tuple(range(len(steps))))


def test_200_nodes_in_seconds_and_twice_the_same() -> None:
    steps, blocks = draw(np.random.default_rng(7), 200, reach=8)
    start = time.process_time()
    found = find_order(steps, blocks)
    assert time.process_time() - start < 10
    assert is_legal(steps, found.order)
    assert found.peak_bytes < peak_bytes(steps, blocks, tuple(range(200)))
    assert find_order(steps, blocks) == found


@pytest.mark.parametrize("seed", range(40))
def test_any_legal_order_of_a_graph_gives_the_same_bytes(seed: int) -> None:
    """Orders drawn from the dependencies alone: what states hold for each reader must not change."""
    rng = np.random.default_rng(seed)
    graph = graph_of(draw_model(Choices.of(rng)), Path("random.tflite"))
    steps, _ = memory_of(graph)
    order: list[int] = []
    while len(order) < len(steps):
        ready = [i for i, step in enumerate(steps) if i not in order and step.after <= set(order)]
        order.append(int(rng.choice(ready)))
    shuffled = in_order(graph, tuple(order))
    verify(shuffled)
    plan = plan_layers(shuffled)
    check_plan(shuffled, plan)
    executors = Executor(graph), Executor(shuffled)
    types = [graph.values[i].type for i in graph.inputs]
    for _ in range(3):
        sample = [rng.integers(0, 100, t.shape).astype(t.dtype.numpy) for t in types]
        for a, b in zip(*(executor.invoke(sample) for executor in executors), strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("seed", range(40))
def test_peak_of_a_graph_is_that_of_its_plan(seed: int) -> None:
    graph = graph_of(draw_model(Choices.of(np.random.default_rng(seed))), Path("random.tflite"))
    states = sum(graph.values[i].type.bytes for i in graph.states)
    steps, blocks = memory_of(graph)
    plan = plan_layers(graph)
    assert peak_bytes(steps, blocks, range(len(steps))) + states == plan.live_bytes(plan.peak_step)
    assert reorder(graph).nodes == graph.nodes  # graph_of has done it


def test_an_order_as_good_is_kept() -> None:
    steps, blocks = draw(np.random.default_rng(0), 12, reach=1)  # a chain
    assert find_order(steps, blocks).order == tuple(range(12))
