"""Placement made smaller by ejection: what does not fit goes where what it meets there is cheapest to move.

An arena that is to be smaller has bodies that end too high. Each is put where the bodies that it meets weigh least;
these are taken out and put elsewhere in turn, until all lie within the limit. A body weighs more each time it ejects
others, so that no two of them drive each other out for ever. Only the neighbourhood of the peak is touched, whatever
the number of bodies. After Nagata and Braysy's ejection for vehicle routing (Operations Research Letters 37, 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.conflicts import Conflict
from thimble.compiler.plan.requests import Request

ATTEMPT_WORK = 1500
"""Bodies put somewhere before an attempt is given up and another one begins, from the best placement again."""

PATIENCE = 0.32
"""Of the work of a search, how much may pass without a better placement, where that is enough for some attempts."""

_CONFLICTS_PER_WORK = 500
"""So many conflicts are looked at in about the time that putting a body with few of them takes."""

_GRAIN = 16
"""The weight of a body that is of average size in the average of weights: ejecting something adds that average."""


_NOWHERE = -(1 << 40)
"""The offset of a body that lies nowhere yet: all that it would touch lies in front of the arena."""


class Ejection:
    """The bodies to place, with what each must keep off and what it weighs at first; behind them one of no bytes and
    no weight, at the start of the arena for ever."""

    def __init__(self, requests: Sequence[Request], conflicts: Sequence[Sequence[Conflict]]) -> None:
        least = min(r.alignment for r in requests)
        ends = len(requests)
        self._sizes = np.array([*(r.bytes for r in requests), 0], np.int64)
        self._near = [_Near.of(r, mine, ends, least) for r, mine in zip(requests, conflicts, strict=True)]
        lives = np.array([r.last - r.first + 1 for r in requests], np.float64)
        self._weights = [np.append(_scaled(self._sizes[:-1] * lives**power), 0) for power in (0.5, 1.0, 0.0)]

    def search(self, offsets: Sequence[int], bound: int, work: int) -> tuple[int, ...]:
        """The best placement found from a sound one; stops at `bound` bytes, when `work` is done, or when it
        has long found nothing better."""
        patience = max(int(PATIENCE * work), len(self._weights) * ATTEMPT_WORK)
        until = work - patience
        random = np.random.RandomState(0)  # numpy promises that its numbers never change
        best = np.array([*offsets, 0], np.int64)
        failures = 0
        while work > max(until, 0):
            size = int((best + self._sizes).max())
            if size <= bound:
                break
            weights = self._weights[failures % len(self._weights)].copy()
            done, found = self._attempt(best.copy(), size - 1, min(work, ATTEMPT_WORK), weights, random)
            work -= done
            if found is None:
                failures += 1
            else:
                best, until = found, work - patience
        return tuple(best[:-1].tolist())

    def _attempt(
        self, offsets: Array, limit: int, work: int, weights: Array, random: np.random.RandomState
    ) -> tuple[int, Array | None]:
        """The work that was done, and offsets under which all end within `limit`, if that was enough."""
        waiting = np.flatnonzero(offsets + self._sizes > limit).tolist()
        offsets[waiting] = _NOWHERE
        done = 0
        while waiting:
            body = waiting.pop()
            near = self._near[body]
            done += near.work
            if done > work:
                return done, None
            offsets[body], ejected = near.lightest(offsets, limit, weights, random)
            if len(ejected):
                offsets[ejected] = _NOWHERE
                waiting += ejected.tolist()
                weights[body] += _GRAIN
        return done, offsets


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """What a body meets: it must not begin in the open range (low, high) behind the start of each of `others`.

    `edges` are where these ranges have begun, low + 1, and behind them where they end, high, of `bodies`; `signs` tell
    one from the other. `places` are the edges moved outwards to where the body may begin; as far as their bodies lie
    at multiples of other alignments, they are `moved` once more. The last two of each are the first and the last place
    of the arena. `work` is about how long it takes to look at them.
    """

    bytes: int
    alignment: int
    others: Array
    bodies: Array
    edges: Array
    signs: Array
    places: Array
    moved: bool
    work: int

    @classmethod
    def of(cls, request: Request, conflicts: Sequence[Conflict], ends: int, least_alignment: int) -> _Near:
        """What a body meets by its conflicts; `ends` is the body that stands for the ends of the arena."""
        others, lows, highs = np.array(conflicts, np.int64).reshape(-1, 3).T
        count, alignment = len(others), request.alignment
        moved = alignment > least_alignment
        if not moved:
            lows_at, highs_at = lows // alignment * alignment, -(-highs // alignment) * alignment
        else:
            lows_at, highs_at = lows, highs + alignment - 1
        return cls(
            request.bytes,
            alignment,
            others,
            np.concatenate([others, others, (ends, ends)]),
            np.concatenate([lows + 1, highs, (0, 0)]),
            np.repeat(np.array([1, -1, 0]), (count, count, 2)),
            np.concatenate([lows_at, highs_at, (0, -_NOWHERE)]),
            moved,
            1 + count // _CONFLICTS_PER_WORK,
        )

    def lightest(self, offsets: Array, limit: int, weights: Array, random: np.random.RandomState) -> tuple[int, Array]:
        """The place under a limit at which what the body meets weighs least, and the bodies that lie there.

        This is where a search spends its time: methods of arrays take half as long as numpy's functions.
        """
        count, at = len(self.others), offsets[self.bodies]
        places = at + self.places
        if self.moved:
            places -= places % self.alignment
        np.maximum(places, 0, out=places)
        np.minimum(places, (limit - self.bytes) // self.alignment * self.alignment, out=places)
        places = _distinct(places)
        # A body at a place meets those whose open range has begun there and has not ended.
        at += self.edges
        begun = places.searchsorted(at)
        met = np.bincount(begun, weights[self.bodies] * self.signs, len(places) + 1)[:-1].cumsum()
        lightest = (met == met.min()).nonzero()[0]
        chosen = lightest[random.randint(len(lightest)) if len(lightest) > 1 else 0]
        return int(places[chosen]), self.others[(begun[:count] <= chosen) & (begun[count:-2] > chosen)]


def _scaled(weights: Array) -> Array:
    """Weights as whole numbers, _GRAIN on average and none of them 0."""
    return np.asarray(np.maximum(weights * (_GRAIN / weights.mean()), 1.0).astype(np.int64))


def _distinct(numbers: Array) -> Array:
    """Each of some numbers once, in order."""
    numbers.sort()
    new = np.ones(len(numbers), bool)
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    return np.asarray(numbers[new])
