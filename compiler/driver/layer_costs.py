"""Where the work goes: rows of layers, sums by operator, the frames of the flame, the costliest functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thimble.compiler.driver.charts import Part, RankedBar, Segment, percent, rank, stack
from thimble.compiler.driver.flame import Frame
from thimble.compiler.driver.latency import is_of_layer

Report = Mapping[str, Any]

OP_COLOURS = 6
FUNCTIONS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Layer:
    """A row of the layer table; `cycles` is None where they were not measured, and so is what follows from them.

    `own_cycles` are those of the layer's function without its kernels. `cycle_share` is in percent of the inference,
    `mac_share` of all MACs, `mac_bar` of the layer with the most. `why_plain`: why its kernel is plain C.
    """

    index: int
    name: str
    op: str
    kernel: str
    output: str
    macs: int
    mac_share: float
    mac_bar: float
    cycles: int | None
    own_cycles: int | None
    cycle_share: float | None
    macs_per_cycle: float | None
    colour: str
    why_plain: str | None = None


@dataclass(frozen=True, slots=True)
class OpTotal:
    """All layers of one operator together; `share` is in percent of the inference."""

    op: str
    layers: int
    amount: int
    share: float
    colour: str


@dataclass(frozen=True, slots=True)
class LayerShares:
    """Operators by their cycles, or by MACs where not every layer's cycles were measured.

    `strip` stands in for the flame then: layers side by side, as wide as their MACs.
    """

    unit: str
    strip: tuple[Segment, ...]
    ops: tuple[OpTotal, ...]


@dataclass(frozen=True, slots=True)
class FunctionBar:
    """One of the costliest functions: `width` is in percent of the costliest one's cycles.

    `share` is in percent of the inference, None for a function that runs outside of it too.
    """

    name: str
    cycles: int
    colour: str
    width: float
    share: float | None


def layer_rows(report: Report) -> tuple[Layer, ...]:
    """The layers of a report, each in the colour of its operator: a colour each for those with the most MACs."""
    rows = report["layers"]
    macs = sum(row["macs"] for row in rows)
    amounts: dict[str, int] = {}
    for row in rows:
        amounts[row["op"]] = amounts.get(row["op"], 0) + row["macs"]
    ordered = sorted(amounts, key=lambda op: (-amounts[op], op))
    colours = {op: f"op{min(position, OP_COLOURS)}" for position, op in enumerate(ordered)}
    most = max((row["macs"] for row in rows), default=0)
    whole = inference_cycles(report)
    return tuple(_layer(row, macs, most, whole, colours[row["op"]]) for row in rows)


def inference_cycles(report: Report) -> int:
    """Cycles of one inference, 0 where not measured; means of layers, each rounded, may sum to a few more."""
    return max(report["latency"]["cycles"] or 0, sum(row["cycles"] or 0 for row in report["layers"]))


def _layer(row: Report, all_macs: int, most_macs: int, all_cycles: int, colour: str) -> Layer:
    macs, cycles = row["macs"], row["cycles"]
    return Layer(
        index=row["index"],
        name=row["name"],
        op=row["op"],
        kernel=row["kernel"],
        output=row["output"],
        macs=macs,
        mac_share=percent(macs, all_macs),
        mac_bar=percent(macs, most_macs),
        cycles=cycles,
        own_cycles=row.get("own_cycles"),
        cycle_share=None if cycles is None else percent(cycles, all_cycles),
        macs_per_cycle=macs / cycles if cycles else None,
        colour=colour,
        why_plain=row.get("why_plain"),
    )


def is_measured(layers: Sequence[Layer]) -> bool:
    """Whether there are layers and the cycles of all of them are known."""
    return bool(layers) and all(layer.cycles is not None for layer in layers)


def layer_shares(layers: Sequence[Layer], cycles: int) -> LayerShares:
    """Operators by cycles, of the inference's `cycles`, where every layer's were measured; else by MACs."""
    measured = is_measured(layers)
    amounts = [(layer.cycles or 0) if measured else layer.macs for layer in layers]
    whole = cycles if measured else sum(amounts)
    totals: dict[str, list[int]] = {}
    colours = {layer.op: layer.colour for layer in layers}
    for layer, amount in zip(layers, amounts, strict=True):
        totals.setdefault(layer.op, []).append(amount)
    ordered = sorted(totals, key=lambda op: (-sum(totals[op]), op))
    ops = (
        OpTotal(op, len(totals[op]), sum(totals[op]), percent(sum(totals[op]), whole), colours[op]) for op in ordered
    )
    parts = [] if measured else [Part(f"{la.index} {la.op}", la.macs, la.colour, la.name) for la in layers]
    return LayerShares("cycles" if measured else "MACs", stack(parts), tuple(ops))


def format_ms(cycles: int, clock_hz: int) -> str:
    """Milliseconds with two decimals, or four where that would leave nothing."""
    ms = 1000 * cycles / clock_hz
    return f"{ms:,.2f} ms" if ms >= 0.1 else f"{ms:.4f} ms"


def format_percent(value: float) -> str:
    """Percent with one decimal; what is little but not nothing never reads as 0.0."""
    return "<0.1%" if 0 < value < 0.05 else f"{value:.1f}%"


def inference_frame(report: Report, layers: Sequence[Layer]) -> Frame | None:
    """One inference, in it its layers in their order, in them their kernels; None where not all were measured.

    Last in the inference stands what the invoke function itself takes, between the calls of the layers.
    """
    if not is_measured(layers) or not report["latency"]["cycles"]:
        return None
    whole, clock = inference_cycles(report), report["target"]["clock_hz"]
    frames = [_layer_frame(layer, whole, clock) for layer in layers]
    own = whole - sum(frame.cycles for frame in frames)
    calls = f"between the layers: {report['build']['name']}_invoke itself\n{_cost(own, whole, clock)}"
    rest = Frame((("between layers",),), calls, "own", own)
    cost = _cost(whole, whole, clock).rpartition(",")[0]
    names = ((f"one inference: {cost}",), (format_ms(whole, clock),))
    return Frame(names, f"one inference\n{cost}", "own", whole, (*frames, rest))


def _layer_frame(layer: Layer, whole: int, clock_hz: int) -> Frame:
    """A layer and its kernels, as one: their cycles are the layer's less its own, or all where those are unknown."""
    cycles, own = layer.cycles or 0, layer.own_cycles
    name, share = f"{layer.index} {layer.op}", format_percent(percent(cycles, whole))
    rate = f"{layer.macs:,} MACs, {layer.macs / cycles:.3f} MACs/cycle" if layer.macs and cycles else "no MACs"
    within = cycles if own is None else max(cycles - own, 0)
    kernel = f"{layer.kernel} in layer {name}\n{_cost(within, whole, clock_hz)}\n{rate}"
    lines = ((name, f"{cycles:,}", share), (name, share), (f"{name} {share}",), (name,), (str(layer.index),))
    tooltip = f"layer {name}\n{layer.name}\n{_cost(cycles, whole, clock_hz)}\n{rate}"
    children = (Frame(((layer.kernel,),), kernel, layer.colour, within),) if within else ()
    return Frame(lines, tooltip, layer.colour, cycles, children)


def _cost(cycles: int, whole: int, clock_hz: int) -> str:
    return f"{cycles:,} cycles, {format_ms(cycles, clock_hz)}, {format_percent(percent(cycles, whole))}"


def function_bars(report: Report, layers: Sequence[Layer]) -> tuple[FunctionBar, ...]:
    """The costliest functions of the run, without those that they call, in cycles an inference.

    Kernels and the functions of layers go in their operator's colour. Others may run outside of the inference, as
    start-up and main do, or on both sides of it, as the C library does: they have no share in it.
    """
    whole = inference_cycles(report)
    colours = {f"{report['build']['name']}_invoke": "own", "run_steps": "own"}
    for layer in layers:
        for kernel in layer.kernel.split(", "):
            colours.setdefault(f"thimble_{kernel}", layer.colour)
    functions = {f["name"]: f["cycles_per_inference"] for f in report.get("functions", ())}
    for name in functions:
        owner = next((layer for layer in layers if is_of_layer(name, layer.index, layer.op)), None)
        if owner is not None:
            colours[name] = owner.colour
        elif name.startswith("read_input_"):
            colours[name] = "own"
    parts = [Part(name, cycles, colours.get(name, "other")) for name, cycles in functions.items() if cycles]
    bars, _, _ = rank(parts, FUNCTIONS_SHOWN)
    return tuple(_function_bar(bar, whole if bar.part.label in colours else 0) for bar in bars)


def _function_bar(bar: RankedBar, whole: int) -> FunctionBar:
    part = bar.part
    return FunctionBar(part.label, part.amount, part.kind, bar.width, percent(part.amount, whole) if whole else None)
