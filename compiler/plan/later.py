"""Which rows of what are still read behind a node of a graph."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from thimble.compiler.ir.graph import Role
from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.row_graph import Home, RowGraph
from thimble.compiler.plan.runs import aligned_row_bytes


class Later:
    """Which rows of a home are read by a node or one behind it: all that the readers from each one on read."""

    def __init__(self, graph: RowGraph, home: Home) -> None:
        self._home, self._graph = home, graph
        self.readers = graph.readers.get(home.value, ())
        self._rows: list[Array] = []
        self._bytes: dict[int, int] = {}

    def rows(self, node: int) -> Array:
        """For each row, whether it is still read by `node` or one behind it; all are where the home is kept."""
        if self._home.kept:
            return np.ones(self._home.rows, bool)
        return self._suffixes()[bisect_left(self.readers, node)]

    def bytes(self, node: int) -> int:
        """Bytes that these rows take."""
        home, first = self._home, bisect_left(self.readers, node)
        if first not in self._bytes:
            rows = int(np.count_nonzero(self.rows(node)))
            self._bytes[first] = rows * aligned_row_bytes(home, (0, home.columns))
        return self._bytes[first]

    def _suffixes(self) -> list[Array]:
        """The rows by number of the first reader that counts; none is read behind the last."""
        if not self._rows:
            read = np.zeros(self._home.rows, bool)
            self._rows = [read]
            for reader in reversed(self.readers):
                for other in self._graph.nodes[reader].reads:
                    if other.home == self._home.value:
                        read = read | (other.last >= 0)
                self._rows.append(read)
            self._rows.reverse()
        return self._rows


def bytes_read_later(graph: RowGraph, later: Mapping[int, Later]) -> Array:
    """For each node, the bytes of values made before it that it or one behind it reads; states do not count."""
    changes = np.zeros(len(graph.nodes) + 2, np.int64)
    for value, home in graph.homes.items():
        first = graph.makers.get(value, -1) + 1
        if home.role is Role.STATE:
            continue
        ends = [reader + 1 for reader in later[value].readers if reader >= first]
        for begin, end in pairwise((first, *ends, len(graph.nodes) + 1)):
            if begin < end:
                size = later[value].bytes(begin)
                changes[begin] += size
                changes[end] -= size
    return np.cumsum(changes)
