"""`python -m tests.bench.fit_narrow`: what fewer bits cost in cycles, into compiler/plan/costs.json.

Random networks of the cost model with weights and activations of 4 and 2 bits at random. Plain kernels for them get
entries of their own; of kernels for int8 that stand in others, what these took more than predicted is fitted to what is
unpacked and packed. Run it behind `make fit-costs`, on whose entries it builds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rich.progress import track

from tests.bench.cost_networks import network
from tests.bench.cost_samples import Variant, load_graph, sample_all
from tests.bench.fit_costs import (
    LEAST_SAMPLES,
    ROUNDS,
    SMALLEST_ERROR,
    Rows,
    fit,
    non_negative_least_squares,
    significant,
)
from thimble.codegen.kernels import KernelFamily
from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.types import DType
from thimble.compiler.plan.call_shape import packed_entry
from thimble.compiler.plan.cycles import COSTS, REFERENCE, cycle_model
from thimble.compiler.plan.kernel_work import NARROW_COUNTS
from thimble.quantize.narrow import NarrowValue, narrow, narrow_weights, on_fewer_levels
from thimble.quantize.weights import has_weights
from thimble.targets.model import load_target

NETWORKS = range(4)
RUNS = (
    Variant(KernelFamily.C),
    Variant(KernelFamily.AUTO),
    Variant(KernelFamily.AUTO, 1024, compact=True),
    Variant(KernelFamily.AUTO, rows=1),
    Variant(KernelFamily.AUTO, 2048, rows=4),
)
WORKERS = 2
More = tuple[dict[str, float], float, float]
"""Amounts of work of a layer, its cycles beyond those predicted for int8, and all of them."""

WIDTHS = (DType.INT4, DType.INT4, DType.INT2)


def narrowed(graph: Graph, seed: int) -> Graph:
    """The graph with three of four weights and activations in fewer bits."""
    rng = np.random.default_rng(seed)

    def drawn() -> DType | None:
        return WIDTHS[int(rng.integers(len(WIDTHS)))] if rng.random() < 0.75 else None

    weights = {i: narrow_weights(s, t) for i, s in enumerate(graph.sites) if has_weights(s) and (t := drawn())}
    values = {}
    for index, value in enumerate(graph.values):
        free = value.role is Role.ACTIVATION and value.type.dtype is DType.INT8 and value.type.quant is not None
        dtype = drawn() if free and index not in graph.outputs else None
        if dtype is not None:
            values[index] = NarrowValue(dtype, on_fewer_levels(value.type.quant, dtype))
    return narrow(graph, weights, values).graph


def fit_more(more: Sequence[More]) -> dict[str, float]:
    """Costs that are not negative, of what was taken more than predicted, by least errors relative to all cycles."""
    table = np.array([[amounts.get(name, 0.0) / cycles for name in NARROW_COUNTS] for amounts, _, cycles in more])
    wanted = np.array([extra / cycles for _, extra, cycles in more])
    weights, scale = np.ones(len(more)), np.maximum(np.linalg.norm(table, axis=0), 1e-12)
    costs = np.zeros(len(NARROW_COUNTS))
    for _ in range(ROUNDS):
        costs = non_negative_least_squares(table / scale * weights[:, None], wanted * weights)
        weights = 1 / np.sqrt(np.maximum(np.abs(table / scale @ costs - wanted), SMALLEST_ERROR))
    return {name: significant(cost) for name, cost in zip(NARROW_COUNTS, costs / scale, strict=True) if cost > 0}


def median_error(more: Sequence[More], costs: dict[str, float]) -> float:
    """Of the cycles of these layers, in percent, on the samples of the fit itself."""
    errors = [abs(sum(costs.get(n, 0) * a for n, a in amounts.items()) - extra) / c for amounts, extra, c in more]
    return round(100 * float(np.median(errors)), 1)


def main() -> None:
    """Measure, fit and write."""
    target, model = load_target(REFERENCE), replace(cycle_model(REFERENCE), narrow={})
    graphs = [narrowed(load_graph(network(n), f"narrow_{n}"), n) for n in NETWORKS]
    jobs = [(graph, target, run) for graph in graphs for run in RUNS]
    made = track(sample_all(jobs, WORKERS), target.name, total=len(jobs))
    samples = [s for found in made if found is not None for s in found.layers if len(s.amounts()) == 1]
    plain: dict[str, Rows] = {}
    more: list[More] = []
    for sample in samples:
        ((kernel, amounts),) = sample.amounts()
        if packed_entry(kernel) != kernel:
            plain.setdefault(packed_entry(kernel), []).append((dict(amounts), sample.cycles))
        elif any(amounts.get(name) for name in NARROW_COUNTS):
            more.append((dict(amounts), sample.cycles - sample.predicted(model), sample.cycles))
    record = json.loads(COSTS.read_text(encoding="utf-8"))
    held = record["targets"][REFERENCE]
    held["kernels"] |= {entry: fit(rows) for entry, rows in sorted(plain.items()) if len(rows) >= LEAST_SAMPLES}
    held["narrow"] = fit_more(more)
    held["narrow_median_error_percent"] = median_error(more, held["narrow"])
    COSTS.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
