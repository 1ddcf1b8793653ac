"""Placement from the bottom up, by many rules drawn at random: the search that suits row-wise schedules.

Thousands of rows with short lives leave first-fit a few per cent above the live bytes. Here the next body is always
one that rests on what is placed already, and nothing is put beneath it later: so what is lost under it is known at
once. At a step, the bytes not yet placed must fit above the lowest free offset; a body that would break this for a
limit below the best size is not taken. Among the others a rule decides: it weighs offset, room left, size and length
of life. Rules are drawn anew, or close to the best one, until the limit cannot be lowered or the work is done; half of
them from the top down, which suits a tensor whose lowest rows die first. After MiniMalloc (Moffitt, ASPLOS 2024),
whose canonical form and bound of a section this has, with restarts in place of a complete search.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.conflicts import Conflict
from thimble.compiler.plan.live_bytes import LiveBytes
from thimble.compiler.plan.requests import Request

_GRAIN = 4096
"""So finely do `ties` part what the weights leave equal."""

_OFFSET_WEIGHTS = (8, 16, 24, 32, 48, 64, 96, 128, 1 << 14)
_ROOM_WEIGHTS = (2, 4, 8, 12, 16, 24, 32, 48, 64)
_SIZE_WEIGHTS = (0, 0, 0, 1, 2, 4, 8, 16, 24)
_LIFE_WEIGHTS = (0, 1, 2, 4, 8, 12, 16, 24, 32)


@dataclass(frozen=True, slots=True, eq=False)
class _Rule:
    """Weights, and for each body an amount of its own in 1 / _GRAIN: the body with the least sum comes next."""

    offset: int
    room: int
    size: int
    life: int
    ties: Array
    downwards: bool


_STEPS_PER_WORK = 50_000
"""So many steps of the lives of all that a body meets are looked at while one body is placed otherwise."""


_RULE_WORK = 4
"""Drawing a rule takes as long as placing so many bodies: where slides save much, most rules fail at the first one."""


PATIENCE = 0.2
"""Of the work of a search, how much may pass without a better placement: few are found later, and by little."""


class Skyline:
    """The bodies to place, with what the search needs to know of each."""

    def __init__(self, requests: Sequence[Request], conflicts: Sequence[Sequence[Conflict]]) -> None:
        self._sizes = np.array([r.bytes for r in requests], np.int64)
        self._alignments = np.array([r.alignment for r in requests], np.int64)
        self._live = LiveBytes(requests)
        steps = self._live.steps
        self._parts = [
            [(*(int(n) for n in np.searchsorted(steps, (p.first, p.last + 1))), p.bytes) for p in r.parts]
            for r in requests
        ]
        lives = self._live.ends - self._live.begins
        self._lives = lives * max(int(self._sizes.mean()), 1) // max(int(lives.mean()), 1)  # comparable with sizes
        sizes = self._sizes.tolist()
        self._above = self._find_above((i, j, high) for i, mine in enumerate(conflicts) for j, _, high in mine)
        # From the top down, distances are those between ends.
        self._below = self._find_above(
            (i, j, sizes[j] - sizes[i] - low) for i, mine in enumerate(conflicts) for j, low, _ in mine
        )

        spans = (self._live.ends - self._live.begins).tolist()
        self._work = [1 + sum(spans[j] for j, _, _ in mine) // _STEPS_PER_WORK for mine in conflicts]

    def _find_above(self, distances: Iterable[Conflict]) -> list[tuple[Array, Array]]:
        """For each body those that it meets, and how far behind its own start they begin if they rest on it.

        `distances` holds (one, other, how far behind the start of the other it begins if it rests on it).
        """
        above: list[dict[int, int]] = [{} for _ in self._sizes]
        for i, other, distance in distances:
            above[other][i] = max(distance, above[other].get(i, distance))
        return [(np.array(list(a), np.int64), np.array(list(a.values()), np.int64)) for a in above]

    def search(self, bound: int, size: int, work: int) -> tuple[int, ...] | None:
        """The best placement below `size` bytes, or None; stops at `bound`, when `work` is done, or when it has long
        found nothing better."""
        patience = int(PATIENCE * work)
        until = work - patience
        random = np.random.RandomState(0)  # numpy promises that its numbers never change
        best: tuple[int, ...] | None = None
        rule = self._draw(random)
        while size > bound and work > max(until, 0):
            trial = self._vary(rule, random) if best is not None and random.randint(3) == 0 else self._draw(random)
            # Half of the time just below the best, or else anywhere down to the bound: tight limits guide better.
            limit = size - 1 if random.randint(2) == 0 else random.randint(bound, size)
            done, offsets = self._place(trial, limit)
            work -= done + _RULE_WORK
            if offsets is not None:
                if trial.downwards:
                    offsets = self._turned_over(offsets)
                found = int((offsets + self._sizes).max())
                if found < size:
                    size, best, rule = found, tuple(offsets.tolist()), trial
                    until = work - patience
        return best

    def _draw(self, random: np.random.RandomState) -> _Rule:
        """Any rule."""
        offset, room, size, life = (
            choices[random.randint(len(choices))]
            for choices in (_OFFSET_WEIGHTS, _ROOM_WEIGHTS, _SIZE_WEIGHTS, _LIFE_WEIGHTS)
        )
        count = len(self._sizes)
        kind, downwards = random.randint(8), bool(random.randint(2))
        ties = (np.arange(count), -np.arange(count), self._live.begins, -self._live.ends, self._live.ends)
        if kind < len(ties):
            return _Rule(offset, room, size, life, ties[kind], downwards)
        reach = (_GRAIN, 100 * _GRAIN, 4 * _GRAIN * (int(self._sizes.mean()) + 1))[kind - len(ties)]
        return _Rule(offset, room, size, life, random.randint(0, reach, count), downwards)

    def _vary(self, rule: _Rule, random: np.random.RandomState) -> _Rule:
        """The rule with small changes of who comes first."""
        reach = (_GRAIN, 16 * _GRAIN, 64 * _GRAIN)[random.randint(3)]
        return replace(rule, ties=rule.ties + random.randint(0, reach, len(self._sizes)))

    def _place(self, rule: _Rule, limit: int) -> tuple[int, Array | None]:
        """How much work that was (1 for each body, more where it meets many long lives), and all offsets if all fit."""
        sizes, alignments = self._sizes, self._alignments
        unplaced = self._live.bytes.copy()
        count = len(sizes)
        waiting = np.ones(count, bool)
        # From the top down, offsets count from the top, and ends are aligned.
        spare = sizes if rule.downwards else np.zeros(count, np.int64)
        offsets = -spare % alignments
        above = self._below if rule.downwards else self._above
        needs = self._live.most(unplaced, np.arange(count))  # bytes to place at the fullest step of each life
        fixed = rule.ties - _GRAIN * (rule.size * sizes + rule.life * self._lives)
        left = np.arange(count)
        work = 0
        for _ in range(count):
            lowest = offsets[left]
            candidates = left[lowest < (lowest + sizes[left]).min()]  # others have room for one of these beneath them
            at, need = offsets[candidates], needs[candidates]
            keys = fixed[candidates] + _GRAIN * ((rule.offset - rule.room) * at - rule.room * need)
            chosen = candidates[keys.argmin()]
            if offsets[chosen] + needs[chosen] > limit:
                fits = at + need <= limit
                if not fits.any():
                    return work + 1, None
                chosen = candidates[fits][keys[fits].argmin()]
            work += self._work[chosen]
            waiting[chosen] = False
            left = left[left != chosen]
            for begin, end, size in self._parts[chosen]:
                unplaced[begin:end] -= size
            others, distances = above[chosen]
            still = waiting[others]
            others = others[still]
            if len(others):
                lowest = offsets[chosen] + distances[still]
                offsets[others] = np.maximum(offsets[others], lowest + -(lowest + spare[others]) % alignments[others])
                needs[others] = self._live.most(unplaced, others)
        return work, offsets

    def _turned_over(self, offsets: Array) -> Array:
        """Offsets from the bottom of those from the top."""
        multiple = int(np.lcm.reduce(self._alignments))
        return -(-int((offsets + self._sizes).max()) // multiple) * multiple - offsets - self._sizes
