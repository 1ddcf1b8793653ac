"""How many bytes are live at each step, and at the fullest step of a body's life."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.requests import Request


class LiveBytes:
    """The steps at which something begins, which are enough: in between, parts only end.

    `steps` are their numbers, `bytes` the bytes that are live at each of them. `begins` and `ends` are the places in
    `steps` between which each body lives; there must be at least one.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        parts = [p for r in requests for p in r.parts]
        firsts, lasts, sizes = np.array([(p.first, p.last, p.bytes) for p in parts], np.int64).T
        self.steps = np.unique(firsts)
        self._part_begins = np.searchsorted(self.steps, firsts)
        self._part_ends = np.searchsorted(self.steps, lasts, side="right")
        self.begins = np.searchsorted(self.steps, [r.first for r in requests])
        self.ends = np.searchsorted(self.steps, [r.last for r in requests], side="right")
        self.bytes = self.sum(sizes)

    def sum(self, amounts: Array) -> Array:
        """At each step, the sum of an amount for each part over those that are live."""
        changes = np.zeros(len(self.steps) + 1, np.int64)
        np.add.at(changes, self._part_begins, amounts)
        np.subtract.at(changes, self._part_ends, amounts)
        return np.cumsum(changes)[:-1]

    def most(self, amounts: Array, bodies: Array) -> Array:
        """For each of some bodies, the most that an amount for each step is during its life."""
        spans = np.empty(2 * len(bodies), np.int64)
        spans[0::2], spans[1::2] = self.begins[bodies], self.ends[bodies]
        return np.asarray(np.maximum.reduceat(np.append(amounts, 0), spans)[0::2])
