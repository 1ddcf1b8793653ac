"""Which nodes need to run only where a flag is true, or only where it is false: branches of a SELECT_V2.

A SELECT_V2 whose condition is one bool reads one of its alternatives. A node whose results reach nothing but one
alternative of one SELECT_V2, through whatever nodes, is guarded by the condition: where the other one is taken, nobody
reads what it would make. Of a SELECT_V2 that itself stands in a branch of another one, both branches run where the
outer flag says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.plan.plan import Guard, Stage

MOST_FLAGS = 32
"""Flags that guard nodes; branches of further ones always run: a plan is checked for about two ways a flag to run."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A node runs only where the graph value `value` is `wanted`."""

    value: int
    wanted: bool


def find_flags(graph: Graph) -> dict[int, Flag]:
    """The flag of each guarded node, by position.

    A node stays unguarded that comes before the maker of the flag, writes a state, or makes an output of the graph.
    """
    made_at = {value: step for step, node in enumerate(graph.nodes) for value in node.outputs}
    uses: dict[int, set[Flag | None]] = {value: {None} for value in graph.outputs}
    flags: dict[int, Flag] = {}
    known: set[int] = set()
    for step in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[step]
        asked = {use for value in node.outputs for use in uses.get(value, set())}
        flag = asked.pop() if len(asked) == 1 else None
        if flag is not None and not node.op.state_inputs and made_at.get(flag.value, step) < step:
            known.update((flag.value,) if len(known) < MOST_FLAGS else ())
            if flag.value in known:
                flags[step] = flag
        for position, value in enumerate(node.inputs):
            if value is not None:
                uses.setdefault(value, set()).add(flags.get(step) or _chosen_by(graph, step, position))
    return flags


def _chosen_by(graph: Graph, step: int, position: int) -> Flag | None:
    """The flag under which a node reads an input; None where it always does."""
    alternatives, condition = _alternatives(graph, step), graph.nodes[step].inputs[:1]
    if position not in alternatives or condition[0] is None:
        return None
    return Flag(condition[0], position == alternatives[0])


def _alternatives(graph: Graph, step: int) -> tuple[int, ...]:
    """The positions of the inputs of which a node reads one alone."""
    node, site = graph.nodes[step], graph.sites[step]
    if node.op.alternatives is None or not site.has_input(0):
        return ()
    condition = site.input(0)
    return node.op.alternatives if condition.type.elements == 1 and condition.role is not Role.CONSTANT else ()


def guards_of(graph: Graph, stages: Sequence[Stage]) -> tuple[Guard, ...]:
    """The guards of all stages of guarded nodes; of views, whose stages do nothing, too."""
    flags = find_flags(graph)
    found = ((index, flags.get(-1 if stage.node is None else stage.node)) for index, stage in enumerate(stages))
    return tuple(Guard(index, flag.value, flag.wanted) for index, flag in found if flag is not None)


def steps_needed(
    graph: Graph, flags: Mapping[int, Flag], views: Mapping[int, int], value: int, first: int, last: int
) -> list[tuple[int, int]]:
    """The ranges of steps, one a node, at which a value must lie in the arena that lives from `first` to `last`.

    They leave out the steps that do not run where its maker does. A SELECT_V2 that reads a value for the last time, as
    an alternative, is left out too: its kernel copies what it reads as if all were read before anything is written, so
    that its output and both alternatives may overlap in any way.
    """
    if value in graph.nodes[last].outputs:
        return [(first, last)]
    read = {
        position for position, i in enumerate(graph.nodes[last].inputs) if i is not None and views.get(i, i) == value
    }
    if read and value not in graph.outputs and read <= set(_alternatives(graph, last)):
        last -= 1
    flag = flags.get(first) if value in graph.nodes[first].outputs else None
    other = None if flag is None else Flag(flag.value, not flag.wanted)
    steps = [step for step in range(first, last + 1) if other is None or flags.get(step) != other]
    runs = (list(run) for _, run in groupby(enumerate(steps), lambda item: item[1] - item[0]))
    return [(run[0][1], run[-1][1]) for run in runs]


def at_worst(guards: Sequence[Guard], amounts: Iterable[tuple[int, float]]) -> float:
    """The largest sum, over how flags may stand, of what stages take that run: pairs of a stage and an amount."""
    keys = {guard.stage: Flag(guard.flag, guard.wanted) for guard in guards}
    sums: defaultdict[Flag | None, float] = defaultdict(float)
    for stage, amount in amounts:
        sums[keys.get(stage)] += amount
    flags = sorted({flag.value for flag in sums if flag is not None})
    return sums[None] + sum(max(sums[Flag(flag, True)], sums[Flag(flag, False)]) for flag in flags)
