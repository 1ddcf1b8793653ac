"""Placement made smaller by ejection: what does not fit goes where what it meets there is cheapest to move.

An arena that is to be smaller has bodies that end too high. Each is put where the bodies that it meets weigh least;
these are taken out and put elsewhere in turn, until all lie within the limit. A body weighs more each time it ejects
others, so that no two of them drive each other out for ever. Only the neighbourhood of the peak is touched, whatever
the number of bodies. After Nagata and Braysy's ejection for vehicle routing (Operations Research Letters 37, 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.conflicts import Conflict
from thimble.compiler.plan.requests import Request

ATTEMPT_WORK = 1500
"""Bodies put somewhere before an attempt is given up and another one begins, from the best placement again."""

PATIENCE = 0.45
"""Of the work of a search, how much may pass without a better placement, where that is enough for some attempts."""

_CONFLICTS_PER_WORK = 500
"""So many conflicts are looked at in about the time that putting a body with few of them takes."""

_GRAIN = 16
"""The weight of a body that is of average size in the average of weights: ejecting something adds that average."""


class Ejection:
    """The bodies to place, with what each must keep off and what it weighs at first."""

    def __init__(self, requests: Sequence[Request], conflicts: Sequence[Sequence[Conflict]]) -> None:
        self._sizes = np.array([r.bytes for r in requests], np.int64)
        self._alignments = [r.alignment for r in requests]
        tables = [np.array(mine, np.int64).reshape(-1, 3).T for mine in conflicts]
        self._others, self._lows, self._highs = ([table[row] for table in tables] for row in range(3))
        self._work = [1 + len(mine) // _CONFLICTS_PER_WORK for mine in conflicts]
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
        offsets[waiting] = -1
        done = 0
        while waiting:
            body = waiting.pop()
            done += self._work[body]
            if done > work:
                return done, None
            ejected = self._put(body, offsets, limit, weights, random)
            if len(ejected):
                offsets[ejected] = -1
                waiting += ejected.tolist()
                weights[body] += _GRAIN
        return done, offsets

    def _put(self, body: int, offsets: Array, limit: int, weights: Array, random: np.random.RandomState) -> Array:
        """Put a body where what it meets weighs least; the bodies that lie there."""
        others = self._others[body]
        at = offsets[others]
        placed = at >= 0
        others, at = others[placed], at[placed]
        lows, highs = at + self._lows[body][placed], at + self._highs[body][placed]
        alignment = self._alignments[body]
        top = (limit - int(self._sizes[body])) // alignment * alignment
        places = np.concatenate([[0, top], -(-highs // alignment) * alignment, lows // alignment * alignment])
        places = np.unique(places[(places >= 0) & (places <= top)])
        # A body at a place meets those whose open range (low, high) has begun there and has not ended.
        weight = _weight_below(lows, weights[others], places, "left")
        weight -= _weight_below(highs, weights[others], places, "right")
        lightest = places[weight == weight.min()]
        place = int(lightest[random.randint(len(lightest))])
        offsets[body] = place
        return np.asarray(others[(lows < place) & (place < highs)])


def _scaled(weights: Array) -> Array:
    """Weights as whole numbers, _GRAIN on average and none of them 0."""
    return np.asarray(np.maximum(weights * (_GRAIN / weights.mean()), 1.0).astype(np.int64))


def _weight_below(edges: Array, weights: Array, places: Array, side: Literal["left", "right"]) -> Array:
    """For each place, the weights of those whose edge lies in front of it ("left") or not behind it ("right")."""
    order = np.argsort(edges, kind="stable")
    sums = np.concatenate([[0], np.cumsum(weights[order])])
    return np.asarray(sums[np.searchsorted(edges[order], places, side)])
