"""The order of some steps that needs the least memory at its worst moment: pure functions over numbers, no graph.

The memory during a step depends on which steps ran before it, not on their order. So the set of steps done is all of
the state (the dynamic programming over downsets of Ahn et al., "Ordering Chaos", MLSys 2020), and an order is a path
from the empty set to the full one whose cost is its highest point: a best-first search finds the lowest such path.
Two rules keep it small, and neither loses an optimum. A step that does not raise the peak and leaves no more memory
taken than before runs at once. A step that only makes memory grow for one other step runs right before that one.
Where branches are too many for that, a beam search gives an order, and windows around its peak are searched as above.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

EXACT_STATES = 150_000
"""States that the search over all orders may visit, a few seconds. Work is counted, not time: plans are the same on
every machine."""

BEAM_WIDTHS = (1, 16, 128)
BEAM_CLUSTERS = 600  # with more of them only the narrowest beam is tried
BEAM_WORK = 500_000  # sets that one beam may look at, a second or two: where hundreds of branches are open at once
WINDOW = 40
WINDOW_STATES = 1_500
WINDOW_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Block:
    """Memory of `bytes`, taken when `maker` runs (None: before all steps), free after the last of `users`.

    A block that is `kept` is never free again; one that nobody uses is free when its maker is done.
    """

    bytes: int
    maker: int | None
    users: frozenset[int]
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Runs after the steps in `after` and takes `scratch` bytes meanwhile.

    `reuse` holds (block, bytes): what the step's new blocks may share with a block that no later step uses.
    """

    after: frozenset[int]
    scratch: int = 0
    reuse: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """An order and its peak; `proved` where no order is better."""

    order: tuple[int, ...]
    peak_bytes: int
    proved: bool


def peak_bytes(steps: Sequence[Step], blocks: Sequence[Block], order: Sequence[int]) -> int:
    """The most bytes taken at once when the steps run in this order."""
    return _Memory(steps, blocks).peak(order)


def find_order(steps: Sequence[Step], blocks: Sequence[Block], states: int = EXACT_STATES) -> Found:
    """The order of least peak. `steps` as given must be a legal order, which is kept unless another one is better."""
    memory = _Memory(steps, blocks)
    given = tuple(range(len(steps)))
    best = Found(given, memory.peak(given), False)
    if best.peak_bytes > memory.bound:
        clusters = _clusters(steps, blocks)
        search = _Search(memory, steps, clusters)
        best = _improve_by_beams(search, best)
        if best.peak_bytes > memory.bound:
            path, complete = search.best([], range(len(clusters)), best.peak_bytes, states)
            if path is not None:
                order = search.spell(path)
                return Found(order, memory.peak(order), True)
            if not complete:
                return _improve_windows(search, best)
    return Found(best.order, best.peak_bytes, True)


def _improve_by_beams(search: _Search, best: Found) -> Found:
    widths = BEAM_WIDTHS if len(search.clusters) <= BEAM_CLUSTERS else BEAM_WIDTHS[:1]
    for width in widths:
        path = search.beam(width)
        if path is None:
            break
        order = search.spell(path)
        peak = search.memory.peak(order)
        if peak < best.peak_bytes:
            best = Found(order, peak, False)
        if best.peak_bytes <= search.memory.bound:
            break
    return best


def _improve_windows(search: _Search, best: Found) -> Found:
    """Search all orders of the steps around the peak, the others as they are, until that helps no more."""
    for _ in range(WINDOW_ROUNDS):
        improved = _improve_one_window(search, best)
        if improved is None:
            break
        best = improved
    return best


def _improve_one_window(search: _Search, best: Found) -> Found | None:
    path = search.gather(best.order)
    peaks = list(search.memory.walk(search.spell(path)))
    lengths = [len(search.clusters[cluster]) for cluster in path]
    peak_cluster = bisect_right(list(accumulate(lengths)), peaks.index(max(peaks)))
    for shift in (WINDOW // 2, WINDOW // 8, 7 * WINDOW // 8):
        first = max(peak_cluster - shift, 0)
        window = path[first : first + WINDOW]
        found, _ = search.best(path[:first], window, best.peak_bytes, WINDOW_STATES)
        if found is not None:
            order = search.spell([*path[:first], *found, *path[first + len(window) :]])
            peak = search.memory.peak(order)
            if peak < best.peak_bytes:
                return Found(order, peak, False)
    return None


class _Memory:
    """Bytes taken before, during and after steps; sets of steps are bit masks."""

    def __init__(self, steps: Sequence[Step], blocks: Sequence[Block]) -> None:
        self.start = sum(b.bytes for b in blocks if b.maker is None and (b.users or b.kept))
        # A block from before all steps that nobody uses counts during the first step, as the planner's lifetimes do.
        self._idle = sum(b.bytes for b in blocks if b.maker is None and not b.users and not b.kept)
        self.users = [0 if b.kept else sum(1 << user for user in b.users) for b in blocks]
        self.bytes = [b.bytes for b in blocks]
        self.made = [0] * len(steps)
        self.dropped = [0] * len(steps)
        self.scratch = [step.scratch for step in steps]
        self.reuse = [step.reuse for step in steps]
        self.reads: list[list[int]] = [[] for _ in steps]
        for i, block in enumerate(blocks):
            if block.maker is not None:
                self.made[block.maker] += block.bytes
                self.dropped[block.maker] += 0 if block.users or block.kept else block.bytes
            if not block.kept:
                for user in block.users:
                    self.reads[user].append(i)

    def run(self, done: int, live: int, node: int) -> tuple[int, int]:
        """Bytes during and after a step that runs when the steps in `done` did and left `live` bytes."""
        rest = ~(done | 1 << node)
        dying = [b for b in self.reads[node] if not self.users[b] & rest]
        during = live + self.made[node] + self.scratch[node]
        if self.reuse[node]:
            during -= min(sum(n for b, n in self.reuse[node] if b in dying), self.made[node])
        after = live + self.made[node] - self.dropped[node] - sum(self.bytes[b] for b in dying)
        return during, after

    def walk(self, order: Sequence[int]) -> Iterator[int]:
        """Bytes during each step of an order."""
        done, live, idle = 0, self.start, self._idle
        for node in order:
            during, live = self.run(done, live, node)
            done |= 1 << node
            yield during + idle
            idle = 0

    def peak(self, order: Sequence[int]) -> int:
        """The most bytes at any time of an order."""
        return max(self.walk(order), default=self.start + self._idle)

    @property
    def bound(self) -> int:
        """No order needs less than its most demanding step, with its operands alone."""
        sizes = [self.start]
        for node, reads in enumerate(self.reads):
            saved = min(sum(size for _, size in self.reuse[node]), self.made[node])
            sizes.append(sum(self.bytes[b] for b in reads) + self.made[node] + self.scratch[node] - saved)
        return max(sizes)


def _clusters(steps: Sequence[Step], blocks: Sequence[Block]) -> list[list[int]]:
    """Steps in groups that run one behind the other in some optimal order.

    Step v joins its only successor w where it takes no less than it frees, all that it reads is its own, and it
    needs no more than w while it runs: delaying v until just before w then lowers the memory in between and leaves
    the peak as it is.
    """
    memory = _Memory(steps, blocks)
    successors: list[set[int]] = [set() for _ in steps]
    for node, step in enumerate(steps):
        for before in step.after:
            successors[before].add(node)
    shared = {user for b in blocks if b.kept or len(b.users) > 1 for user in b.users}
    makers_kept = {b.maker for b in blocks if b.kept or not b.users}
    members: list[list[int]] = [[] for _ in steps]
    joined = set()
    for v in range(len(steps)):  # predecessors come first, so members[v] is complete
        members[v].append(v)
        if len(successors[v]) != 1 or v in shared or v in makers_kept:
            continue
        (w,) = successors[v]
        reads = sum(memory.bytes[b] for b in memory.reads[v])
        needs = reads + memory.scratch[v] - _most_saved(memory, v)
        if memory.made[v] >= reads and needs <= memory.made[w] + memory.scratch[w] - _most_saved(memory, w):
            members[w].extend(members[v])
            joined.add(v)
    return [members[v] for v in range(len(steps)) if v not in joined]


def _most_saved(memory: _Memory, node: int) -> int:
    return min(sum(size for _, size in memory.reuse[node]), memory.made[node])


@dataclass(frozen=True, slots=True)
class _Partial:
    """A way to run some clusters; all sets are bit masks.

    `peak` is its highest point, `live` the bytes that it leaves, `steps` and `done` the steps and clusters that ran,
    `ready` the clusters that may run now, `path` the last cluster and the way until then.
    """

    peak: int
    live: int
    steps: int
    done: int
    ready: int
    path: tuple[int, _Partial] | None = None

    def spell(self) -> list[int]:
        """The clusters from the start on."""
        clusters, at = [], self.path
        while at is not None:
            clusters.append(at[0])
            at = at[1].path
        return clusters[::-1]


class _Search:
    """Orders of clusters."""

    def __init__(self, memory: _Memory, steps: Sequence[Step], clusters: list[list[int]]) -> None:
        self.memory, self.clusters = memory, clusters
        self._home = {node: i for i, members in enumerate(clusters) for node in members}
        self._needs = [0] * len(clusters)
        self._unlocks: list[list[int]] = [[] for _ in clusters]
        for i, members in enumerate(clusters):
            waits = {self._home[before] for node in members for before in steps[node].after} - {i}
            self._needs[i] = sum(1 << other for other in waits)
            for other in waits:
                self._unlocks[other].append(i)

    def spell(self, path: Iterable[int]) -> tuple[int, ...]:
        """The steps of some clusters."""
        return tuple(node for cluster in path for node in self.clusters[cluster])

    def gather(self, order: Sequence[int]) -> list[int]:
        """The clusters of an order of steps, each at the place of its last member."""
        last = {self.clusters[self._home[node]][-1] for node in order}
        return [self._home[node] for node in order if node in last]

    def beam(self, width: int) -> list[int] | None:
        """The clusters in a good order: of all sets of equal size, the `width` best are kept. None beyond BEAM_WORK."""
        level, work = [self._start()], 0
        for _ in self.clusters:
            found: dict[int, _Partial] = {}
            work += sum(partial.ready.bit_count() for partial in level)
            if work > BEAM_WORK:
                return None
            for partial in level:
                for after in self._extend(partial, partial.ready):
                    known = found.get(after.done)
                    if known is None or after.peak < known.peak:
                        found[after.done] = after
            level = sorted(found.values(), key=lambda p: (p.peak, p.live, p.done))[:width]
        return level[0].spell()

    def best(
        self, before: Sequence[int], window: Iterable[int], limit: int, states: int
    ) -> tuple[list[int] | None, bool]:
        """The clusters of `window`, which run right after those in `before`, in the order of least peak.

        None where no order stays under `limit` bytes, or where none was found yet after `states` sets; the second
        value tells whether all of them were seen.
        """
        start = self._start()
        for cluster in before:
            start = self._after(start, cluster)
        allowed = sum(1 << cluster for cluster in window)
        goal = start.done | allowed
        seen = {start.done: start.peak}
        heap = [(start.peak, 0, 0, start)]
        pushed = 0
        while heap and len(seen) <= states:
            peak, size, _, partial = heapq.heappop(heap)
            if partial.done == goal:
                return partial.spell(), True
            if peak > seen[partial.done]:
                continue
            for after in self._extend(partial, partial.ready & allowed):
                if after.peak < limit and after.peak < seen.get(after.done, limit):
                    seen[after.done] = after.peak
                    pushed += 1
                    heapq.heappush(heap, (after.peak, size - 1, pushed, after))
        return None, not heap

    def _start(self) -> _Partial:
        ready = sum(1 << cluster for cluster, needs in enumerate(self._needs) if not needs)
        # Nothing is gained by staying under the bound: all ways that do are equal, and the longest is followed first.
        return _Partial(self.memory.bound, self.memory.start, 0, 0, ready)

    def _extend(self, partial: _Partial, candidates: int) -> list[_Partial]:
        """What may follow; one alone where that is as good as any."""
        found = []
        while candidates:
            cluster = (candidates & -candidates).bit_length() - 1
            candidates &= candidates - 1
            after = self._after(partial, cluster)
            if after.peak == partial.peak and after.live <= partial.live:
                return [after]
            found.append(after)
        return found

    def _after(self, partial: _Partial, cluster: int) -> _Partial:
        peak, live, steps = partial.peak, partial.live, partial.steps
        for node in self.clusters[cluster]:
            during, live = self.memory.run(steps, live, node)
            peak = max(peak, during)
            steps |= 1 << node
        done = partial.done | 1 << cluster
        ready = partial.ready & ~(1 << cluster)
        for other in self._unlocks[cluster]:
            if not self._needs[other] & ~done:
                ready |= 1 << other
        return _Partial(peak, live, steps, done, ready, (cluster, partial))
