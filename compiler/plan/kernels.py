"""Which kernels the nodes of a graph may have, and how a schedule's cycles fall with the bytes that it may take.

Fast kernels want scratch, and what a layer may have of it is what the arena has left at its steps. So each layer of a
schedule gets the fastest kernel that fits beside what is live while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.gaps import Gap

NO_LIMIT = 1 << 30
"""Bytes of scratch that no kernel reaches."""


@dataclass(frozen=True, slots=True)
class KernelLimit:
    """What a node's kernels may ask of the arena: bytes of scratch, and, where `apart`, that their output lies off the
    inputs."""

    scratch_bytes: int = NO_LIMIT
    apart: bool = True

    def allows(self, scratch_bytes: int, in_place: bool) -> bool:
        """Whether kernels ask for no more than this."""
        return scratch_bytes <= self.scratch_bytes and (in_place or self.apart)

    def lowered(self, bytes: int) -> KernelLimit:
        """The same with no more scratch than some bytes."""
        return replace(self, scratch_bytes=min(self.scratch_bytes, bytes))


UNLIMITED = KernelLimit()

PLAIN = KernelLimit(-1)
"""For plain C alone."""


@dataclass(frozen=True, slots=True, eq=False)
class KernelOption:
    """What a node's kernels are within a limit, and the scratch that they really take.

    Where not `in_place`, the output must lie off the inputs. `cycles` estimates one call for a number of rows.
    """

    limit: KernelLimit
    scratch_bytes: int
    in_place: bool
    cycles: Callable[[float], float]

    def is_within(self, limit: KernelLimit) -> bool:
        """Whether it asks for no more than a limit gives."""
        return limit.allows(self.scratch_bytes, self.in_place)


@dataclass(frozen=True, slots=True, eq=False)
class KernelChoices:
    """The kernels of all nodes, run whole and by rows. `choose` gives the graph with kernels within a limit for each
    node."""

    whole: Sequence[tuple[KernelOption, ...]]
    by_rows: Sequence[tuple[KernelOption, ...]]
    choose: Callable[[Sequence[KernelLimit]], Graph]


@dataclass(frozen=True, slots=True)
class NodeNeeds:
    """A node in a schedule: the most bytes live while it runs, without its scratch; and so if its output keeps off its
    inputs. `calls` are how many calls of how many rows it takes."""

    by_rows: bool
    live_bytes: int
    apart_bytes: int
    calls: tuple[tuple[int, float], ...]

    def bytes_with(self, option: KernelOption) -> int:
        """The most bytes live while it runs with these kernels."""
        return (self.live_bytes if option.in_place else self.apart_bytes) + option.scratch_bytes

    def cycles_with(self, option: KernelOption) -> float:
        """Cycles of all calls."""
        return sum(count * option.cycles(rows) for count, rows in self.calls)

    def joined(self, other: NodeNeeds) -> NodeNeeds:
        """Two stages of one node, which have the same kernels."""
        return NodeNeeds(
            self.by_rows or other.by_rows,
            max(self.live_bytes, other.live_bytes),
            max(self.apart_bytes, other.apart_bytes),
            self.calls + other.calls,
        )


@dataclass(frozen=True, slots=True)
class _Rung:
    """Kernels that are faster than all others within `bytes`."""

    bytes: int
    cycles: float
    option: KernelOption


class ScheduleCycles:
    """The cycles of one schedule within each limit of bytes: `cycles[i]` from `limits[i]` on, which rise.

    `needs` are those of its nodes, and `least_bytes` what it takes with no scratch at all.
    """

    def __init__(self, needs: Mapping[int, NodeNeeds], choices: KernelChoices, least_bytes: int) -> None:
        self._nodes = len(choices.whole)
        self._ladders = {
            node: _ladder(need, choices.by_rows[node] if need.by_rows else choices.whole[node])
            for node, need in needs.items()
        }
        gains: dict[int, float] = {least_bytes: 0.0}
        for ladder in self._ladders.values():
            for slower, faster in pairwise(ladder):
                at = max(faster.bytes, least_bytes)
                gains[at] = gains.get(at, 0.0) + slower.cycles - faster.cycles
        slowest = sum(ladder[0].cycles for ladder in self._ladders.values())
        self.limits: Array = np.array(sorted(gains), np.int64)
        self.cycles: Array = slowest - np.cumsum([gains[limit] for limit in self.limits.tolist()])

    def kernel_limits(self, limit_bytes: int) -> tuple[KernelLimit, ...]:
        """For each node of the graph the limit of the fastest kernels within a limit of bytes; of the smallest ones
        where none fit."""
        limits = [UNLIMITED] * self._nodes
        for node, ladder in self._ladders.items():
            fitting = [ladder[0], *(rung for rung in ladder[1:] if rung.bytes <= limit_bytes)]
            limits[node] = fitting[-1].option.limit
        return tuple(limits)

    def limits_in_gaps(self, gaps: Mapping[int, Gap]) -> tuple[KernelLimit, ...]:
        """For each node the limit of the fastest kernels that fit into a gap."""
        limits = [UNLIMITED] * self._nodes
        for node, ladder in self._ladders.items():
            gap = gaps[node]
            fitting = [r.option for r in ladder if r.option.is_within(KernelLimit(gap.bytes, gap.apart))]
            limits[node] = fitting[-1].limit.lowered(gap.bytes) if fitting else PLAIN
        return tuple(limits)

    def cycles_with(self, limits: Sequence[KernelLimit]) -> int:
        """The cycles of all nodes with kernels within these limits."""
        cycles = 0.0
        for node, ladder in self._ladders.items():
            within = [rung.cycles for rung in ladder if rung.option.is_within(limits[node])]
            cycles += min(within, default=ladder[0].cycles)
        return round(cycles)


def _ladder(need: NodeNeeds, options: Iterable[KernelOption]) -> list[_Rung]:
    """The options from the least bytes to the fewest cycles, without those that are slower than smaller ones."""
    rungs = [_Rung(need.bytes_with(option), need.cycles_with(option), option) for option in options]
    rungs.sort(key=lambda rung: (rung.bytes, rung.cycles))
    ladder = rungs[:1]
    for rung in rungs[1:]:
        if rung.cycles < ladder[-1].cycles:
            ladder.append(rung)
    return ladder
