"""What lies in RAM: constants that are read most, or what was measured to save the most cycles for each byte."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.test_row_plans import chain
from thimble.codegen.kernels import KernelFamily, KernelSettings, choose_kernels
from thimble.codegen.layers import lower_graph
from thimble.codegen.project import generate_project
from thimble.codegen.ram_places import RamPlaces
from thimble.compiler.driver.ram_choice import choose
from thimble.compiler.driver.ram_costs import RamCosts, code_items, weights_items
from thimble.compiler.driver.ram_items import Item
from thimble.compiler.driver.ram_room import Room, room_of
from thimble.compiler.ir.errors import ThimbleError
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.targets.model import load_target

BOARD = load_target("stm32l4r5zi")
KB = 1024


@pytest.mark.parametrize(("family", "name"), [(KernelFamily.C, "weights"), (KernelFamily.AUTO, "packed")])
def test_weights_are_read_once_a_multiply_accumulate(family: KernelFamily, name: str) -> None:
    graph = choose_kernels(chain(), BOARD, KernelSettings(family))
    lowered = lower_graph(graph, plan_layers(graph), "net", Rounding.TFLM)
    arrays = {array.name: array for array in lowered.constants}
    for node in (0, 1, 2):
        array, site = arrays[f"net_layer_{node:02d}_{name}"], graph.sites[node]
        assert array.reads >= site.op.macs(site) * array.bytes // site.input(1).type.bytes  # equal layers share one


def costs(*items: tuple[str, tuple[int, ...], dict[str, int], int]) -> RamCosts:
    """A firmware of a million cycles, and what its constants and kernels would save."""
    return RamCosts(
        1_000_000, 9000, 500, tuple((Item(kind, layers, parts), saved) for kind, layers, parts, saved in items)
    )


def room(limit: int | None = None) -> Room:
    """A chip with 8 KB for constants, and 4 KB of its own for code."""
    return Room(limit, 8 * KB, 4 * KB)


def chosen(found: RamCosts, where: Room) -> list[tuple[str, tuple[int, ...], int]]:
    """What lies in RAM, in the order in which it was chosen."""
    return [(p.item.kind, p.item.layers, p.bytes) for p in choose(found, where)]


def test_what_saves_most_for_its_bytes_comes_first() -> None:
    found = costs(
        ("weights", (0,), {"a": 4 * KB}, 8000),
        ("weights", (1,), {"b": 2 * KB}, 6000),
        ("weights", (2,), {"c": 4 * KB}, 7000),
        ("code", (0, 1, 2), {"k.c": KB}, 1500),
    )
    assert chosen(found, room()) == [("weights", (1,), 2 * KB), ("weights", (0,), 4 * KB), ("code", (0, 1, 2), KB)]
    assert chosen(found, room(2 * KB)) == [("weights", (1,), 2 * KB)]
    assert chosen(found, room(0)) == []


def test_what_saves_next_to_nothing_stays_in_flash() -> None:
    found = costs(
        ("weights", (0,), {"a": 8 * KB}, 700), ("weights", (1,), {"b": 8}, 100), ("code", (1,), {"k.c": 8}, -5000)
    )
    assert chosen(found, room()) == []


def test_a_file_that_kernels_share_takes_its_bytes_once() -> None:
    found = costs(
        ("code", (0,), {"rows.c": 1 * KB, "shared.c": 2 * KB}, 9000),
        ("code", (1,), {"pixels.c": 1 * KB, "shared.c": 2 * KB}, 5000),
    )
    assert chosen(found, room()) == [("code", (0,), 3 * KB), ("code", (1,), KB)]


def test_code_and_constants_in_one_memory_do_not_overlap() -> None:
    """Code must lie in 4 KB that begin at 8 KB of the main RAM, behind all data; the better of both is taken."""
    where = Room(None, 32 * KB, 4 * KB, code_begins=8 * KB, data_end=4 * KB, constants_move_code=True)
    assert where.holds(4 * KB, 4 * KB)
    assert not where.holds(4 * KB + 8, 4 * KB)
    assert where.holds(32 * KB, 0)
    weights, code = ("weights", (0,), {"a": 16 * KB}, 40_000), ("code", (0,), {"k.c": KB}, 5000)
    assert chosen(costs(weights, code), where) == [("weights", (0,), 16 * KB)]
    assert chosen(costs(("weights", (0,), {"a": 16 * KB}, 4000), code), where) == [("code", (0,), KB)]


def test_costs_come_back_from_a_file() -> None:
    found = costs(("weights", (0,), {"a": 8}, 70), ("code", (1, 2), {"k.c": 16, "l.c": 32}, -5))
    assert RamCosts.of_row(found.row) == found
    with pytest.raises((KeyError, TypeError, ValueError)):
        RamCosts.of_row(found.row | {"items": [["weights", 3]]})


def test_items_of_a_network() -> None:
    graph = choose_kernels(chain(), BOARD)
    project = generate_project(graph, plan_layers(graph), BOARD, "net")
    weights = weights_items(project)
    assert sorted(i.layers[0] for i in weights) == sorted({a.node for a in project.constants if a.node is not None})
    named = [name for item in weights for name in item.parts]
    assert len(named) == len(set(named))  # an array that layers share counts once
    sizes = {name: 100 for files in project.sources.values() for name in files}
    code = code_items(project, sizes, BOARD)
    assert sorted(layer for item in code for layer in item.layers) == sorted(project.sources)
    assert code_items(project, sizes, load_target("mps3-an547")) == []  # it runs from RAM as it is


@pytest.mark.parametrize("name", ["stm32l4r5zi", "nrf52840", "stm32h743zi", "stm32g0b1re"])
def test_room_is_what_the_chip_leaves(name: str) -> None:
    chip = load_target(name)
    left = room_of(10_000, chip, None, {})
    assert left.holds(left.fast_bytes, 0)
    assert not left.holds(left.fast_bytes + 8, 0)
    assert left.holds(0, 4096)
    assert chip.code_ram is not None
    assert not left.holds(0, chip.code_ram.bytes + 8)


def test_only_named_files_lie_in_the_ram_of_code() -> None:
    graph = choose_kernels(chain(), BOARD)
    plan, source = plan_layers(graph), "thimble_softmax_s8.c"
    plain = generate_project(graph, plan, BOARD, "net")
    fast = generate_project(graph, plan, BOARD, "net", places=RamPlaces(sources=frozenset({source})))
    changed = {name for name in fast.files if fast.files[name] != plain.files[name]}
    assert changed == {"board.h", "chip.ld", "sim.ld"}
    assert "EXCLUDE_FILE(*thimble_softmax_s8.o *thimble_softmax_s8.c.o*)" in fast.files["chip.ld"]
    no_ram = replace(BOARD, memories=tuple(replace(m, code_origin=None) for m in BOARD.memories))
    with pytest.raises(ThimbleError, match="no RAM that code"):
        generate_project(graph, plan, no_ram, "net", places=RamPlaces(sources=frozenset({source})))
