"""Bits and plan chosen together: the planner says what is crowded, losses say what to narrow, until both agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.quantize.choices import WIDEST, Bits, Losses, Tensors, frontier
from thimble.quantize.firmware_cost import FirmwareCost, Planned
from thimble.quantize.prices import BitsExhausted

ROUNDS, LARGEST = 3, 6
"""Rounds of narrowing for speed, and the largest groups that each of them tries: a second or two a plan."""

PRICED = 4
"""Choices between loss and cycles that are planned."""

GIVEN_BACK = 8
"""Narrowed groups that are tried in 8 bits again, those first that lose most."""

WORTH = 0.99
"""What a choice with more losses may take of the cycles of one with fewer."""


@dataclass(frozen=True, slots=True)
class JointSearch:
    """Choices for one int8 graph under a limit of bytes for the arena, None without one."""

    graph: Graph
    tensors: Tensors
    losses: Losses
    cost: FirmwareCost
    sram_bytes: int | None

    def choices(self, forced: Bits) -> list[Bits]:
        """Choices within the limit that narrow at least what is `forced`, the one with the fewest planned cycles first.

        The last one loses least: it is narrowed no more than the limit asks for. Others are left out where they are
        not faster. Raises BitsExhausted where the plan of the fewest bits is too large.
        """
        least = self.within(forced, self.sram_bytes)
        found = [least, *self._with_room(least), *self._cheaper(least)]
        fitting = [bits for bits in dict.fromkeys(found) if self._fits(bits)]
        most = self._planned(least).cycles * WORTH
        faster = [bits for bits in fitting if bits != least and self._planned(bits).cycles <= most]
        return [*sorted(faster, key=lambda bits: self._planned(bits).cycles), least]

    def within(self, bits: Bits, limit_bytes: int | None) -> Bits:
        """Groups narrowed that are live where the plan is fullest, until it stays within a limit.

        Each round narrows what loses least for each byte until as much is saved as is lacking, and plans again; at
        last groups that lose most get their 8 bits back where the plan bears it. Raises BitsExhausted.
        """
        start = bits
        while limit_bytes is not None and (plan := self.cost.planned(bits, limit_bytes)).arena_bytes > limit_bytes:
            narrower = self._narrower(bits, plan, plan.arena_bytes - limit_bytes)
            if narrower == bits:
                raise BitsExhausted(
                    f"With the fewest bits, the arena takes {plan.arena_bytes} bytes, "
                    f"{plan.arena_bytes - limit_bytes} more than allowed.",
                    plan.arena_bytes,
                    limit_bytes,
                )
            bits = narrower
        return bits if limit_bytes is None else self._given_back(start, bits, limit_bytes)

    def _narrower(self, bits: Bits, plan: Planned, lacking: int) -> Bits:
        """The cheapest crowded groups in the next fewer bits, until `lacking` bytes are saved."""
        steps = sorted(self._steps(bits, plan.crowded), key=lambda step: step[0])
        for _, group, width, saved in steps:
            if lacking <= 0:
                break
            bits, lacking = bits.with_group(group, width), lacking - saved
        return bits

    def _steps(self, bits: Bits, crowded: frozenset[str]) -> Iterator[tuple[float, tuple[int, ...], int, int]]:
        """For each crowded group its loss for each byte, itself, the next fewer bits, and the bytes saved."""
        for group in self.tensors.groups:
            now, known = bits.value(group[0]), self.losses.groups[group[0]]
            width = max((w for w in known if w < now), default=None)
            sizes = [self.graph.values[i].type.elements for i in group if self.graph.values[i].name in crowded]
            if width is None or not sizes:
                continue
            saved = sum(sizes) * (now - width) // WIDEST
            yield (known[width] - known.get(now, 0.0)) / max(saved, 1), group, width, saved

    def _given_back(self, start: Bits, bits: Bits, limit_bytes: int) -> Bits:
        narrowed = [g for g in self.tensors.groups if bits.value(g[0]) != start.value(g[0])]
        narrowed.sort(key=lambda g: -self.losses.groups[g[0]][bits.value(g[0])])
        for group in narrowed[:GIVEN_BACK]:
            wider = bits.with_group(group, start.value(group[0]))
            if self.cost.planned(wider, limit_bytes).arena_bytes <= limit_bytes:
                bits = wider
        return bits

    def _with_room(self, bits: Bits) -> Iterator[Bits]:
        """Large groups narrowed though all fits, one a round: room for faster schedules and kernels.

        Nothing is tried where the limit costs no cycles.
        """
        free = self.cost.planned(bits, None).cycles
        for _ in range(ROUNDS if self.sram_bytes is not None else 0):
            most = self._planned(bits).cycles * WORTH
            if most <= free:
                return
            everything = (self.graph.values[i].name for group in self.tensors.groups for i in group)
            steps = sorted(self._steps(bits, frozenset(everything)), key=lambda step: -step[3])[:LARGEST]
            tries = [bits.with_group(group, width) for _, group, width, _ in steps]
            best = min(filter(self._fits, tries), key=lambda tried: self._planned(tried).cycles, default=bits)
            if self._planned(best).cycles > most:
                return
            yield best
            bits = best

    def _cheaper(self, least: Bits) -> list[Bits]:
        """Choices between loss and cycles of the nodes, on top of what the limit asks for."""
        found = [least.at_most(bits) for bits in frontier(self.tensors, self.losses, self.cost.cycles)]
        found = list(dict.fromkeys(found))
        return [found[i] for i in np.unique(np.linspace(0, len(found) - 1, PRICED).round().astype(int))]

    def _planned(self, bits: Bits) -> Planned:
        return self.cost.planned(bits, self.sram_bytes)

    def _fits(self, bits: Bits) -> bool:
        return self.sram_bytes is None or self._planned(bits).arena_bytes <= self.sram_bytes
