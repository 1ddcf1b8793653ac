"""Which constants and which code lie in RAM: those that save the most cycles for each byte, as far as RAM is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.ram_costs import RamCosts
from thimble.compiler.driver.ram_items import KINDS, InRam, Item, Placed
from thimble.compiler.driver.ram_room import Room, room_of
from thimble.compiler.plan.plan import Plan
from thimble.targets.model import Target

LEAST_SHARE = 0.0002
"""Of all cycles, what a layer must save for its constants to lie in RAM: less would not show."""

LEAST_CYCLES_PER_BYTE = 0.1


def choose_for_ram(costs: RamCosts, plan: Plan, target: Target, options: CompileOptions) -> InRam:
    """What is to lie in RAM beside a plan's arena, within the SRAM asked for."""
    taken = costs.static_bytes + costs.stack_bytes
    limits = (options.fast_weights_bytes, None if options.max_sram_bytes is None else options.max_sram_bytes - taken)
    limit = min((limit for limit in limits if limit is not None), default=None)
    apart = {block.memory: block.bytes for block in plan.blocks if block.memory != target.ram.name}
    return InRam(tuple(choose(costs, room_of(costs.static_bytes, target, limit, apart))), costs.cycles)


def choose(costs: RamCosts, room: Room) -> list[Placed]:
    """The items that lie in RAM: what saves the most cycles of filling the room with both kinds, with one first,
    or with constants alone, since they get in each other's way."""
    orders = (KINDS,), (("weights",), ("code",)), (("code",), ("weights",)), (("weights",),)
    found = [_fill(costs, room, order) for order in orders]
    return max(found, key=lambda placed: (sum(p.cycles for p in placed), -sum(p.bytes for p in placed)))


def _fill(costs: RamCosts, room: Room, order: Sequence[Sequence[str]]) -> list[Placed]:
    """Items of some kinds, then of others, each time the one that saves the most cycles for each byte that it takes
    beside what is there already, since kernels share C files."""
    chosen: list[Placed] = []
    taken: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    for kinds in order:
        items = [found for found in costs.items if found[0].kind in kinds]
        _fill_with([found for found in items if found[1] >= LEAST_SHARE * costs.cycles], room, taken, chosen)
    return chosen


def _fill_with(
    left: list[tuple[Item, int]], room: Room, taken: dict[str, dict[str, int]], chosen: list[Placed]
) -> None:
    """Add items to those that were chosen, and their parts to what is taken by kind."""
    while left:
        ranked = sorted(left, key=lambda found: _order(found[0], found[1], taken[found[0].kind]))
        for item, saved in ranked:
            added = _added(item, taken[item.kind])
            together = {kind: sum(parts.values()) + added * (kind == item.kind) for kind, parts in taken.items()}
            if saved >= LEAST_CYCLES_PER_BYTE * added and room.holds(together["weights"], together["code"]):
                chosen.append(Placed(item, added, saved))
                taken[item.kind] |= item.parts
                left.remove((item, saved))
                break
        else:
            break


def _order(item: Item, saved: int, taken: Mapping[str, int]) -> tuple[float, str, tuple[int, ...]]:
    return -saved / max(_added(item, taken), 1), item.kind, item.layers


def _added(item: Item, taken: Mapping[str, int]) -> int:
    return sum(size for name, size in item.parts.items() if name not in taken)
