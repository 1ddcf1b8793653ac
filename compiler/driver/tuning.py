"""`--tune`: the kernels of a network's layers chosen by measurement on the simulated chip.

Each layer's candidates (codegen/candidates.py) are ranked by the cost model; those that may be the fastest are
measured, all of a layer in one firmware, which runs the layer once with each. What was measured once is kept
(tuned_cache.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from thimble.codegen.candidates import Candidate, Candidates, candidate_key, layer_candidates
from thimble.codegen.tuned import Measured, TunedKernels
from thimble.codegen.variants import DEFAULT
from thimble.compiler.driver import tuned_cache
from thimble.compiler.driver.layer_bench import measure_graph
from thimble.compiler.driver.options import CompileOptions, InputFeed
from thimble.compiler.driver.planning import ShowProgress, silent
from thimble.compiler.ir.errors import DoesNotFit
from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value
from thimble.compiler.ir.operator import KernelCall, Rounding
from thimble.compiler.plan.call_shape import CallShape, NodeSize
from thimble.compiler.plan.cycles import CycleModel, cycle_model
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.options import Objective, Schedule
from thimble.compiler.plan.plan import Block, Plan
from thimble.compiler.plan.row_graph import row_graph
from thimble.compiler.plan.row_plan import plan_runs
from thimble.compiler.plan.runs import Recipe, Run
from thimble.targets.model import Target

WORTH_MEASURING = 1.15
"""Candidates that are predicted to take longer than the best by more than this are left out."""

DEFAULTS_WORTH_MEASURING = 1.5
"""The same for what families do within limits of scratch, since schedules have little of it."""

FLASH_SHARE = 4
"""Of the chip's flash a quarter may go to one layer's weights, if they are larger for fewer cycles."""

MOST_CYCLES = 1e9
"""Layers whose candidates are predicted to take more together are not measured: the simulator would take minutes."""

MOST_MEASURED = 16
"""Candidates of a layer that are measured at most: what the family does by itself, then the best predicted."""


def tune_graph(
    graph: Graph,
    target: Target,
    rounding: Rounding,
    by_rows: bool,
    compact: bool = False,
    show: ShowProgress = silent,
    say: Callable[[str], None] = lambda _: None,
) -> TunedKernels:
    """The measured kernels of all layers of a graph that have a choice; `by_rows` where they may run by rows too.

    Layers that were measured before are looked up; those of a run that is interrupted are kept for the next one. Raises
    ToolMissing where the simulator or the compiler is.
    """
    where = tuned_cache.context(target)
    known = tuned_cache.load(tuned_cache.SHIPPED, where) | tuned_cache.load(tuned_cache.user_file(), where)
    tuner = _Tuner(target, rounding, compact)
    keyed = tuner.layers(graph, by_rows)
    layers = {key: known[key] for key in keyed if key in known}
    missing = {key: layer for key, layer in keyed.items() if key not in known}
    try:
        with show() as progress, _cancelling_pool() as pool:
            jobs = {pool.submit(tuner.measure, *layer): key for key, layer in missing.items()}
            for count, job in enumerate(as_completed(jobs), start=1):
                layers[jobs[job]] = job.result()
                progress(f"Measured kernels of {count} of {len(jobs)} layers", count / len(jobs))
    finally:
        found = {key: layers[key] for key in missing if key in layers}
        if found:
            with tuned_cache.as_far_as_possible(say):
                tuned_cache.save(tuned_cache.user_file(), where, found)
    return TunedKernels(dict(sorted(layers.items())))


@contextmanager
def _cancelling_pool() -> Iterator[ThreadPoolExecutor]:
    """A worker for each core. What has not begun is given up where the caller is interrupted."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def tuned_kernels(
    graph: Graph,
    target: Target,
    options: CompileOptions,
    compact: bool,
    show: ShowProgress,
    say: Callable[[str], None] = lambda _: None,
) -> TunedKernels:
    """What `--tune` finds for a graph with plain kernels; rows are measured where a plan may run by rows."""
    layers = options.schedule is Schedule.LAYER
    layers = layers or (options.schedule is Schedule.AUTO and options.objective is Objective.LATENCY)
    by_rows = not layers or options.input is InputFeed.ROWS
    return tune_graph(graph, target, options.rounding, by_rows, compact, show, say)


def in_fast_ram(plan: Plan, target: Target) -> Plan:
    """A plan with its arena where that of a network would be, if it fits: kernels differ by what loads take."""
    memory = target.fast_ram
    if memory.name == target.ram.name or plan.arena_bytes > memory.bytes:
        return plan
    return replace(plan, blocks=(Block(memory.name, 0, plan.arena_bytes),))


def _always(call: KernelCall, site: Site, plain: KernelCall, whole: bool) -> KernelCall:
    """One kernel call, whatever the plain one is."""
    return call


class _Tuner:
    """Measures kernels of layers on one chip."""

    def __init__(self, target: Target, rounding: Rounding, compact: bool) -> None:
        self._target, self._rounding, self._compact = target, rounding, compact
        self._model: CycleModel = cycle_model(target.name, fast_data=True)

    def layers(self, graph: Graph, by_rows: bool) -> dict[str, tuple[Site, bool]]:
        """The layers that may have several kernels by their keys, each shape once; whether they run whole."""
        found: dict[str, tuple[Site, bool]] = {}
        for site in graph.sites:
            for whole in (True, False) if by_rows else (True,):
                key = candidate_key(site, self._target, self._rounding, whole, self._compact)
                if key is not None:
                    found.setdefault(key, (site, whole))
        return found

    def measure(self, site: Site, whole: bool) -> tuple[Measured, ...]:
        """The measured kernels of a layer; none where it has no choice, or they do not fit the chip."""
        flash_bytes = self._target.flash_bytes // FLASH_SHARE
        found = layer_candidates(site, self._target, self._rounding, whole, flash_bytes, self._compact)
        chosen = () if found is None else self._promising(found)
        try:
            cycles = self._cycles(site, chosen, whole) if chosen else ()
        except DoesNotFit:
            return ()
        return tuple(c.measured(n) for c, n in zip(chosen, cycles, strict=True))

    def _promising(self, found: Candidates) -> tuple[Candidate, ...]:
        """The candidates that may be the fastest, what the family does by itself first; none of layers too large."""
        predicted = [self._predicted(found, candidate.call) for candidate in found.kernels]
        best, ranked = min(predicted), sorted(range(len(predicted)), key=lambda i: (predicted[i], i))
        own = [i for i, c in enumerate(found.kernels) if c.variant == DEFAULT]
        own = [i for i in own if i == own[0] or predicted[i] <= DEFAULTS_WORTH_MEASURING * best]
        others = [i for i in ranked if i not in own and predicted[i] <= WORTH_MEASURING * best]
        chosen = [*own, *others][:MOST_MEASURED]
        cycles = sum(predicted[i] for i in chosen) * (1 if found.whole else found.site.output().type.rows)
        return tuple(found.kernels[i] for i in chosen) if cycles <= MOST_CYCLES else ()

    def _predicted(self, found: Candidates, call: KernelCall) -> float:
        """Cycles of a layer with a kernel: of one call, or of one row."""
        shapes = (CallShape.of(call, not found.whole),)
        work = NodeWork(NodeSize.of(found.site), shapes, shapes)
        return self._model.cycles(work, None if found.whole else 1.0)

    def _cycles(self, site: Site, kernels: Sequence[Candidate], whole: bool) -> list[int]:
        """The cycles of a layer with each kernel: of one call, or row by row."""
        graph = self._graph_of(site, kernels)
        plan = in_fast_ram(self._plan_of(graph, whole), self._target)
        measured = measure_graph(graph, plan, self._target, self._rounding)
        return [node.cycles if node is not None else 0 for node in measured.nodes]

    def _graph_of(self, site: Site, kernels: Sequence[Candidate]) -> Graph:
        """A graph with the layer once for each kernel, all reading one input."""
        values: list[Value] = [*(value for value in site.inputs if value is not None)]
        places = {id(value): index for index, value in enumerate(values)}
        inputs = tuple(None if value is None else places[id(value)] for value in site.inputs)
        given = tuple(i for i, value in enumerate(values) if value.role is not Role.CONSTANT)
        values = [v if v.role is Role.CONSTANT else replace(v, role=Role.INPUT) for v in values]
        nodes = tuple(Node(site.op, inputs, (len(values) + i,), site.source) for i in range(len(kernels)))
        values += [replace(site.output(), name=f"kernel_{i}", role=Role.ACTIVATION) for i in range(len(kernels))]
        own = tuple(partial(_always, kernel.call) for kernel in kernels)
        return Graph("kernels", tuple(values), nodes, given, (len(values) - 1,), own)

    def _plan_of(self, graph: Graph, whole: bool) -> Plan:
        if whole:
            return plan_layers(graph, self._rounding, 0.0)
        rows = row_graph(graph, self._rounding, False)
        return plan_runs(rows, [Run(i, i + 1, Recipe(1)) for i in range(len(rows.nodes))], 0.0)
