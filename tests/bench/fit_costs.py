"""`make fit-costs`: measure random networks on the simulator, fit the cost model, write compiler/plan/costs.json.

`python -m tests.bench.fit_costs [TARGET ...] [--only ENTRY ...]` fits a chip of each core, or those named; with --only,
these entries alone, to the layers that have them. What was measured is kept, so that a run that was stopped goes on
where it was. The fit minimizes relative errors with costs that are not negative; layers that fit badly count less
(iteratively reweighted least squares), so that it is the usual error that becomes small.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rich.progress import track

from tests.bench.cost_networks import (
    ATTENTION_NETWORKS,
    CONVERTED_NETWORKS,
    DEPTHWISE_NETWORKS,
    POOLED_NETWORKS,
    PRUNED_NETWORKS,
    STEPS_NETWORKS,
    network,
)
from tests.bench.cost_samples import OWN, PLAIN, Sample, Samples, Variant, kernels_of, load_graph, sample_all
from thimble.codegen.armv7em.core import core_of as dsp_core_of
from thimble.codegen.armv81m.select import has_mve
from thimble.codegen.kernels import KernelFamily
from thimble.codegen.tuned import FAMILY
from thimble.compiler.driver.options import Io
from thimble.compiler.plan.cycles import COSTS, FAST_DATA, OTHERS, REFERENCE, CycleModel
from thimble.compiler.plan.kernel_work import COUNTS
from thimble.targets.model import Target, list_targets, load_target

MEASURED = (REFERENCE, "stm32h743zi", "stm32u575zi", "mps3-an547", "stm32f207zg", "stm32g0b1re", "ibex")
"""A chip of each core; others of the same core are priced like it."""

NETWORKS, OTHER_NETWORKS = 12, 6
REFERENCE_RUNS = (*PLAIN, *OWN)
OTHER_RUNS = (PLAIN[0], OWN[0], OWN[5], *(Variant(KernelFamily.AUTO, limit) for limit in (1024, 512, 0)))
"""Fewer on chips other than the one of reference, whose kernels are the same or fewer."""

DENSE_NETWORKS = range(13, 42, 4)
DENSE_RUNS = tuple(run for run in OWN if run.rows is None and (run.winograd_bytes or run.limit_bytes in (2048, 1024)))
"""More networks of dense convolutions, whose kernels differ the most with scratch, on chips that have these kernels:
others than the one of reference measure them here alone."""

POOLED_RUNS = (PLAIN[0], PLAIN[1], OWN[0], OWN[5], OWN[6])
ATTENTION_RUNS = (PLAIN[0], OWN[0], Variant(KernelFamily.AUTO, 1024), Variant(KernelFamily.AUTO, 256))

PRUNED_RUNS = tuple(Variant(KernelFamily.AUTO, limit, rows) for limit, rows in ((None, None), (0, None), (None, 1)))
STEPS_RUNS = tuple(Variant(KernelFamily.AUTO, None, rows, compact=True) for rows in (1, 4))

CONVERTED_RUNS = (PLAIN[0], OWN[0])
DEPTHWISE_RUNS = (
    *(Variant(KernelFamily.AUTO, limit) for limit in (None, 0)),
    *(Variant(KernelFamily.AUTO, 0, rows) for rows in (1, 3)),
    Variant(KernelFamily.AUTO, None, 2),
    Variant(KernelFamily.AUTO, compact=True),
    *(Variant(KernelFamily.AUTO, None, rows, compact=True) for rows in (1, 4, 8)),
)
OTHER_DEPTHWISE_RUNS = (DEPTHWISE_RUNS[0], DEPTHWISE_RUNS[1], DEPTHWISE_RUNS[5], DEPTHWISE_RUNS[7])

LATE_NETWORKS, MORE_LATE_NETWORKS = (0, 2, 6, *PRUNED_NETWORKS), (10, *PRUNED_NETWORKS[:2])
LATE_RUNS = tuple(Variant(kernels, rows=1, late=True) for kernels in (KernelFamily.AUTO, KernelFamily.C))
MORE_LATE_RUNS = (Variant(KernelFamily.AUTO, rows=4, late=True),)
"""Convolutions that write late, which run by rows alone: most of them a row a call, as least plans have them."""

LEAST_SAMPLES = 6
"""Kernels with fewer samples have no entry of their own."""

ROUNDS = 20
SWEEPS = 4000
SMALLEST_ERROR = 0.01
SMALLEST_COST = 1e-4

Rows = list[tuple[dict[str, float], float]]


def entry_of(kernel: str) -> str:
    """The entry under which a kernel is fitted."""
    found = FAMILY.match(kernel)
    return found.group(1) if found else kernel


def fit(rows: Rows) -> dict[str, float]:
    """Costs that are not negative, by amount, of (amounts, cycles)."""
    names = [name for name in COUNTS if any(amounts.get(name) for amounts, _ in rows)]
    table = np.array([[amounts.get(name, 0.0) / cycles for name in names] for amounts, cycles in rows])
    scale = np.linalg.norm(table, axis=0)
    table, weights, costs = table / scale, np.ones(len(rows)), np.zeros(len(names))
    for _ in range(ROUNDS):
        weighted = table * weights[:, None]
        costs = non_negative_least_squares(weighted, weights)
        errors = np.abs(table @ costs - 1)
        weights = 1 / np.sqrt(np.maximum(errors, SMALLEST_ERROR))
    return {name: significant(cost) for name, cost in zip(names, costs / scale, strict=True) if cost > SMALLEST_COST}


def non_negative_least_squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """x >= 0 that minimizes |a x - b|, by coordinate descent."""
    gram, target = a.T @ a, a.T @ b
    x = np.zeros(a.shape[1])
    for _ in range(SWEEPS):
        before = x.copy()
        for i in range(len(x)):
            x[i] = max(x[i] + (target[i] - gram[i] @ x) / gram[i, i], 0.0)
        if np.abs(x - before).max() < 1e-9:
            break
    return x


def significant(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def fit_kernels(samples: Iterable[Sample]) -> dict[str, Any]:
    """The entries of all kernels that were measured often enough, and the one for others."""
    by_entry: dict[str, Rows] = {}
    for sample in samples:
        if len(sample.amounts()) == 1:  # the cycles of several kernels cannot be told apart
            ((kernel, amounts),) = sample.amounts()
            by_entry.setdefault(entry_of(kernel), []).append((dict(amounts), sample.cycles))
    fitted = {entry: fit(rows) for entry, rows in sorted(by_entry.items()) if len(rows) >= LEAST_SAMPLES}
    every = [row for rows in by_entry.values() for row in rows]
    return {"kernels": fitted, OTHERS: fit(every), "samples": {entry: len(rows) for entry, rows in by_entry.items()}}


def errors_of(fitted: dict[str, Any], samples: Sequence[Sample]) -> dict[str, float]:
    """Median error in percent by entry, on the samples of the fit itself."""
    model = CycleModel(0.0, fitted["kernels"], fitted[OTHERS])
    by_entry: dict[str, list[float]] = {}
    for sample in samples:
        ((kernel, _), *more) = sample.amounts()
        if not more:
            error = abs(sample.predicted(model) / sample.cycles - 1)
            by_entry.setdefault(model.entry(entry_of(kernel)), []).append(error)
    return {entry: round(100 * float(np.median(found)), 1) for entry, found in sorted(by_entry.items())}


def measure(
    target: Target, variants: Sequence[Variant], networks: Iterable[int], only: Sequence[str] = ()
) -> list[Samples]:
    """The samples of all networks in all variants on a chip; of those builds alone that have kernels of `only`."""
    io = {number: Io.MODEL if number in CONVERTED_NETWORKS else Io.INT8 for number in networks}
    graphs = [load_graph(network(number), f"random_{number}", io[number]) for number in io]
    jobs = [(graph, target, variant) for graph in graphs for variant in variants]
    jobs = [job for job in jobs if not only or any(entry_of(kernel) in only for kernel in kernels_of(*job))]
    workers = os.cpu_count() or 1
    made = track(sample_all(jobs, workers), target.name, total=len(jobs))
    return [samples for samples in made if samples is not None]


def core_of(target: str) -> str:
    """The core of a chip, by which chips are alike; both configurations of the RTL core count as one."""
    return load_target(target).core.partition("-max")[0].partition("-small")[0]


def has_dsp_kernels(target: Target) -> bool:
    """Whether a chip's own kernels are those for DSP instructions, as the ones of the chip of reference."""
    return dsp_core_of(target) is not None and not has_mve(target)


Runs = list[tuple[Sequence[Variant], Iterable[int]]]


def entries_of(target: Target) -> dict[str, Runs]:
    """What is measured of a chip, by its entries in costs.json: all of it once more with the data in another RAM, where
    one is faster than that which firmware is linked to."""
    main = runs_of(target)
    if target.fast_ram.name == target.ram.name:
        return {target.name: main}
    fast = [([replace(variant, fast_data=True) for variant in variants], networks) for variants, networks in main]
    return {target.name: main, f"{target.name}{FAST_DATA}": fast}


def runs_of(target: Target) -> Runs:
    """What is measured on a chip: ways to build, and the networks that are built so."""
    many = [(REFERENCE_RUNS, range(NETWORKS)), (DENSE_RUNS, DENSE_NETWORKS)]
    some = [(OTHER_RUNS, range(OTHER_NETWORKS))]
    kinds = [
        (ATTENTION_RUNS, ATTENTION_NETWORKS),
        (POOLED_RUNS, POOLED_NETWORKS),
        (PRUNED_RUNS, PRUNED_NETWORKS),
        (STEPS_RUNS, STEPS_NETWORKS),
        (LATE_RUNS, LATE_NETWORKS),
        (MORE_LATE_RUNS, MORE_LATE_NETWORKS),
    ]
    if target.name != REFERENCE:
        dsp = has_dsp_kernels(target)
        return [
            *some,
            *([(DENSE_RUNS, DENSE_NETWORKS)] if dsp else []),
            *kinds,
            (DEPTHWISE_RUNS if dsp else OTHER_DEPTHWISE_RUNS, DEPTHWISE_NETWORKS[::3]),
            (CONVERTED_RUNS[1:], CONVERTED_NETWORKS),
        ]
    return [*many, *kinds, (DEPTHWISE_RUNS, DEPTHWISE_NETWORKS), (CONVERTED_RUNS, CONVERTED_NETWORKS)]


def costs_of(target: Target, runs: Runs, known: dict[str, Any], only: Sequence[str] = ()) -> dict[str, Any]:
    """What costs.json holds of a target by some runs, of which some entries alone may be fitted anew.

    Those of kernels for fewer bits stay, which fit_narrow.py fits.
    """
    made = [found for variants, networks in runs for found in measure(target, variants, networks, only)]
    samples = [s for run in made for s in run.layers if not only or any(entry_of(k) in only for k, _ in s.amounts())]
    fitted = fit_kernels(samples)
    errors = errors_of(fitted, samples)
    kept = {entry: costs for entry, costs in known.get("kernels", {}).items() if only or entry.endswith("_packed")}
    found = {
        "kernels": kept | fitted["kernels"],
        "samples": (known["samples"] if only else {}) | fitted["samples"],
        "median_error_percent": (known["median_error_percent"] if only else {}) | errors,
    }
    if only:
        return known | found
    steps = [run.step_cycles for run in made if run.step_cycles is not None]
    narrow = {key: value for key, value in known.items() if key.startswith("narrow")}
    return narrow | found | {"step": significant(float(np.median(steps))), OTHERS: fitted[OTHERS]}


def main(names: Sequence[str], only: Sequence[str] = ()) -> None:
    """Fit, and write; costs of targets, and with `only` of entries, that are not named stay."""
    record = json.loads(COSTS.read_text(encoding="utf-8")) if COSTS.is_file() else {"targets": {}}
    record["source"] = "random networks (tests/bench/cost_networks.py), one inference on zeros: `make fit-costs`"
    measured = {core_of(name): name for name in MEASURED}
    record["like"] = {name: measured[core_of(name)] for name in list_targets() if core_of(name) in measured}
    for name in names or MEASURED:
        target = load_target(name)
        for entry, runs in entries_of(target).items():
            record["targets"][entry] = costs_of(target, runs, record["targets"].get(entry, {}), only)
        COSTS.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("targets", nargs="*", metavar="TARGET")
    arguments.add_argument("--only", nargs="+", default=[], metavar="ENTRY")
    given = arguments.parse_args()
    main(given.targets, given.only)
