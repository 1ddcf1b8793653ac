"""Runs mutants in child processes with limited memory; a child that dies or hangs is a verdict, not an end."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from time import monotonic

from tests.fuzz.attempt import Verdict, judge, limit_memory, make_mutant

WALL_LIMIT_S = 120.0
"""Only for a child that no signal reaches: CPU time is what is limited, as the machine may be busy."""


class _Child:
    """A process that judges one mutant after another."""

    def __init__(self, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(seed, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.index: int | None = None
        self.since = monotonic()

    def give(self, index: int) -> None:
        self.index, self.since = index, monotonic()
        self.connection.send(index)

    def take(self) -> Verdict:
        """The verdict; a failure of its own kind where the child has died."""
        assert self.index is not None
        index, self.index = self.index, None
        try:
            verdict = self.connection.recv()
            assert isinstance(verdict, Verdict)
            return verdict
        except EOFError:
            self._process.join()
            return Verdict(index, "?", "crash", f"the process ended with {self._process.exitcode}")

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def judge_all(seed: int, indices: Iterable[int], jobs: int) -> Iterator[Verdict]:
    """Verdicts on the mutants `indices` of sequence `seed`, in the order in which they come."""
    waiting = iter(indices)
    children = [_Child(seed) for _ in range(jobs)]
    try:
        for child in children:
            _next(child, waiting)
        while busy := [child for child in children if child.index is not None]:
            ready = wait([child.connection for child in busy], timeout=1.0)
            for child in busy:
                if child.connection in ready:
                    verdict = child.take()
                elif monotonic() - child.since > WALL_LIMIT_S:
                    verdict = Verdict(child.index or 0, "?", "hang", f"no answer in {WALL_LIMIT_S} s")
                else:
                    continue
                if verdict.outcome in ("crash", "hang"):
                    child.kill()
                    children[children.index(child)] = child = _Child(seed)
                _next(child, waiting)
                yield verdict
    finally:
        for child in children:
            child.kill()


def _next(child: _Child, waiting: Iterator[int]) -> None:
    index = next(waiting, None)
    if index is not None:
        child.give(index)


def _serve(seed: int, connection: Connection) -> None:
    judge(make_mutant(seed, 0)[1])  # whatever is loaded late is loaded now, and not counted
    limit_memory()
    while True:
        try:
            index = connection.recv()
        except EOFError:
            return
        origin, data = make_mutant(seed, index)
        connection.send(judge(data, index, origin))
