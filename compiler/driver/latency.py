"""Measured time: from a simulator's Trace to the latency and the layers of a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from thimble.targets.sim.trace import FunctionCost, Trace

TOP_FUNCTIONS = 40

VIEW = "view"
"""What a report gives as the kernel of a layer that only looks at another one's bytes."""


def milliseconds(cycles: int, clock_hz: int) -> float:
    """The time that cycles take at a clock."""
    return round(cycles / clock_hz * 1000, 4)


def merge_trace(report: dict[str, Any], trace: Trace) -> None:
    """Put what a simulated run measured into a report: stack, cycles of one inference, of its layers and functions.

    What the simulator did not measure stays as it was. Cycles are of one inference, between the entry and the return
    of the invoke function; a run of several samples gives their mean, rounded to nearest.
    """
    _merge_stack(report["memory"], trace)
    if trace.cycles is None:
        return
    functions = {function.name: function for function in trace.functions}
    invoke = functions.get(f"{report['build']['name']}_invoke")
    if invoke is None or not invoke.calls:
        return
    cycles = _mean(invoke.inclusive_cycles, invoke.calls)
    report["latency"] = report["latency"] | {
        "cycles": cycles,
        "instructions": _mean(invoke.inclusive_instructions, invoke.calls),
        "ms": None if cycles is None else milliseconds(cycles, report["target"]["clock_hz"]),
        "inferences": invoke.calls,
        "flash_misses": trace.flash_misses,
        "loads": dict(trace.loads),
        "stores": dict(trace.stores),
        "unknown_encodings": list(trace.unknown_encodings),
    }
    report["target"]["timing"] = trace.timing
    report["target"]["timing_error_percent"] = trace.timing_error_percent
    for layer in report["layers"]:
        owned = [f for f in trace.functions if is_of_layer(f.name, layer["index"], layer["op"])]
        _merge_layer(layer, owned, invoke.calls)
    report["functions"] = _functions(trace.functions, invoke.calls)


def measured_ms(report: dict[str, Any]) -> float | None:
    """What an inference took on the simulated chip, at worst where a model has flags; None where it is not known."""
    latency = report["latency"]
    taken: float | None = latency["worst_case"]["ms"] if "worst_case" in latency else latency["ms"]
    return taken


def is_of_layer(function: str, index: int, op: str) -> bool:
    """Whether a function of the generated C belongs to a layer, by its name (codegen).

    A layer has several functions where it is computed in parts, and each may be called many times an inference.
    """
    return function.startswith(f"layer_{index:02d}_{op}")


def _merge_layer(layer: dict[str, Any], functions: Sequence[FunctionCost], inferences: int) -> None:
    """Cost of a layer in an inference with the kernels that it calls; `own_cycles` are those of its functions alone."""
    called = sum(function.calls for function in functions)
    if layer["kernel"] == VIEW or (layer.get("guard") is not None and not called):
        # No code was generated for it, or its flag never let it run.
        layer.update(cycles=0, own_cycles=0, instructions=0, calls=0)
    elif called:
        layer["cycles"] = _mean(_sum(f.inclusive_cycles for f in functions), inferences)
        layer["own_cycles"] = _mean(_sum(f.cycles for f in functions), inferences)
        layer["instructions"] = _mean(_sum(f.inclusive_instructions for f in functions), inferences)
        layer["calls"] = _mean(_sum(f.calls for f in functions), inferences)


def _sum(figures: Iterable[int | None]) -> int | None:
    """The sum, or None where a figure was not measured."""
    total = 0
    for figure in figures:
        if figure is None:
            return None
        total += figure
    return total


def _merge_stack(memory: dict[str, Any], trace: Trace) -> None:
    """The largest peak seen so far counts, and the sum that it is a part of follows."""
    if trace.peak_stack_bytes is not None:
        peak = max(memory["stack_bytes"] or 0, trace.peak_stack_bytes)
        memory["sram_total_bytes"] += peak - (memory["stack_bytes"] or 0)
        memory["stack_bytes"] = peak


def _functions(functions: tuple[FunctionCost, ...], inferences: int) -> list[dict[str, Any]]:
    """The costliest functions, each without those that it calls, over the whole run."""
    ordered = sorted(functions, key=lambda f: (-(f.cycles or 0), f.name))
    return [
        {
            "name": f.name,
            "calls": f.calls,
            "instructions": f.instructions,
            "cycles": f.cycles,
            "cycles_per_inference": _mean(f.cycles, inferences),
        }
        for f in ordered[:TOP_FUNCTIONS]
    ]


def _mean(total: int | None, count: int) -> int | None:
    return None if total is None else (2 * total + count) // (2 * count)
