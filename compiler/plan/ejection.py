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

PATIENCE = 0.3
"""Of the work of a search, how much may pass without a better placement, where that is enough for some attempts."""

_CONFLICTS_PER_WORK = 500
"""So many conflicts are looked at in about the time that putting a body with few of them takes."""

_GRAIN = 16
"""The weight of a body that is of average size in the average of weights: ejecting something adds that average."""


_NOWHERE = -(1 << 40)
"""The offset of a body that lies nowhere yet: all that it would touch lies in front of the arena."""


class Ejection:
    """The bodies to place, with what each must keep off and what it weighs at first."""

    def __init__(self, requests: Sequence[Request], conflicts: Sequence[Sequence[Conflict]]) -> None:
        self._sizes = np.array([r.bytes for r in requests], np.int64)
        self._near = [_Near.of(r, mine) for r, mine in zip(requests, conflicts, strict=True)]
        lives = np.array([r.last - r.first + 1 for r in requests], np.float64)
        self._weights = [_scaled(self._sizes * lives**power) for power in (0.5, 1.0, 0.0)]

    def search(self, offsets: Sequence[int], bound: int, work: int) -> tuple[int, ...]:
        """The best placement found from a sound one; stops at `bound` bytes, when `work` is done, or when it
        has long found nothing better."""
        patience = max(int(PATIENCE * work), len(self._weights) * ATTEMPT_WORK)
        until = work - patience
        random = np.random.RandomState(0)  # numpy promises that its numbers never change
        best = np.array(offsets, np.int64)
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
        return tuple(best.tolist())

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

    The first half of `edges` is where these ranges have begun, low + 1, the second half where they end, high;
    `places` are these edges moved outwards to where the body may begin, but for its alignment, and `bodies` is whose
    they are. `work` is about how long it takes to look at them.
    """

    bytes: int
    alignment: int
    others: Array
    bodies: Array
    edges: Array
    places: Array
    work: int

    @classmethod
    def of(cls, request: Request, conflicts: Sequence[Conflict]) -> _Near:
        """What a body meets by its conflicts."""
        others, lows, highs = np.array(conflicts, np.int64).reshape(-1, 3).T
        return cls(
            request.bytes,
            request.alignment,
            others,
            np.concatenate([others, others]),
            np.concatenate([lows + 1, highs]),
            np.concatenate([lows, highs + request.alignment - 1]),
            1 + len(others) // _CONFLICTS_PER_WORK,
        )

    def lightest(self, offsets: Array, limit: int, weights: Array, random: np.random.RandomState) -> tuple[int, Array]:
        """The place under a limit at which what the body meets weighs least, and the bodies that lie there.

        This is where a search spends its time: methods of arrays take half as long as numpy's functions.
        """
        count, alignment = len(self.others), self.alignment
        at, weight = offsets[self.bodies], weights[self.bodies]
        top = (limit - self.bytes) // alignment * alignment
        places = np.empty(len(at) + 2, np.int64)
        places[0], places[1] = 0, top
        np.floor_divide(at + self.places, alignment, out=places[2:])
        places[2:] *= alignment
        np.maximum(places, 0, out=places)
        np.minimum(places, top, out=places)
        places = _distinct(places)
        # A body at a place meets those whose open range has begun there and has not ended.
        begun = places.searchsorted(at + self.edges)
        np.negative(weight[count:], out=weight[count:])
        met = np.bincount(begun, weight, len(places) + 1)[:-1].cumsum()
        lightest = (met == met.min()).nonzero()[0]
        chosen = lightest[random.randint(len(lightest))]
        return int(places[chosen]), self.others[(begun[:count] <= chosen) & (begun[count:] > chosen)]


def _scaled(weights: Array) -> Array:
    """Weights as whole numbers, _GRAIN on average and none of them 0."""
    return np.asarray(np.maximum(weights * (_GRAIN / weights.mean()), 1.0).astype(np.int64))


def _distinct(numbers: Array) -> Array:
    """Each of some numbers once, in order."""
    numbers.sort()
    new = np.ones(len(numbers), bool)
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    return np.asarray(numbers[new])
