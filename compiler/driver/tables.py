"""Results as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from thimble.compiler.driver.plain_layers import LEAST_PERCENT, plain_layers
from thimble.targets.model import list_targets, load_target
from thimble.targets.sim.trace import Trace


def _table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def _bytes(count: int | None) -> str:
    return "not measured" if count is None else f"{count:,}"


def memory_table(report: dict[str, Any]) -> Table:
    """SRAM and flash of a build beside the chip's."""
    memory, target = report["memory"], report["target"]
    table = _table(f"{report['model']['name']} on {target['name']}", "memory", "bytes", "of", right=("bytes", "of"))
    ram, flash = target["ram_bytes"], target["flash_bytes"]
    table.add_row("arena (activations, input, output, scratch, state)", _bytes(memory["arena_bytes"]), "")
    for region in memory["regions"] if len(memory["regions"]) > 1 else ():
        table.add_row(f"of it in {region['memory']}", _bytes(region["bytes"]), f"{region['memory_bytes']:,}")
    gap = memory["arena_bytes"] - memory["arena_bound_bytes"]
    if gap:
        table.add_row("of it above what is proved to be needed", _bytes(gap), "")
    table.add_row("stack, measured", _bytes(memory["stack_bytes"]), "")
    table.add_row("other static RAM", _bytes(memory["static_ram_bytes"]), "")
    for kind in ("weights", "code"):
        if memory[f"fast_{kind}_bytes"]:
            table.add_row(f"of it {kind} copied from flash", _bytes(memory[f"fast_{kind}_bytes"]), "")
    table.add_row("SRAM, total", _bytes(memory["sram_total_bytes"]), f"{ram:,}", style="bold")
    table.add_row("weights and tables", _bytes(memory["weights_bytes"]), "")
    table.add_row("code", _bytes(memory["code_bytes"]), "")
    table.add_row("flash, total", _bytes(memory["flash_total_bytes"]), f"{flash:,}", style="bold")
    return table


def compile_view(report: dict[str, Any]) -> Group:
    """Memory of a build, behind what quantization did where the model was float."""
    quantization = report.get("quantization")
    before = [] if quantization is None else [quantization_view(quantization)]
    behind = [in_ram_table(report)] if report["in_ram"]["items"] else []
    plain = plain_table(report)
    return Group(*before, memory_table(report), *behind, *([] if plain is None else [plain]))


def plain_table(report: dict[str, Any]) -> Table | None:
    """Layers that run in plain C, and why; None where they take next to nothing of the cycles."""
    groups = plain_layers(report)
    shown = [group for group in groups if group.percent is None or group.percent >= LEAST_PERCENT]
    if not shown:
        return None
    table = _table("Layers in plain C", "layers", "of the cycles", "why", right=("of the cycles",))
    for group in shown:
        share = "not measured" if group.percent is None else f"{group.percent:.1f}%"
        table.add_row(_numbers_text(group.layers), share, group.why)
    if len(groups) > len(shown):
        rest = sum(len(group.layers) for group in groups[len(shown) :])
        table.caption = f"report.json has the reason of {rest} more, which take less than {LEAST_PERCENT:g}%"
    return table


def _numbers_text(numbers: Sequence[int]) -> str:
    """Numbers in order, neighbours as a range: 0-3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def in_ram_table(report: dict[str, Any]) -> Table:
    """Constants and code that start-up code copies to RAM, and the cycles that each was measured to save there."""
    in_flash, cycles = report["in_ram"]["cycles_in_flash"], report["latency"]["cycles"]
    bought = "" if in_flash is None or cycles is None else f": {in_flash:,} -> {cycles:,} cycles"
    numbers = ("bytes", "cycles saved")
    table = _table(f"Copied to RAM before main{bought}", "layers", "what", *numbers, right=numbers)
    for item in report["in_ram"]["items"]:
        layers = ", ".join(map(str, item["layers"]))
        named = item["kind"] == "code" or item["cycles"] is None
        what = ", ".join(name.removeprefix("thimble_") for name in item["names"]) if named else ""
        saved = "not measured" if item["cycles"] is None else f"{item['cycles']:,}"
        table.add_row(layers, f"{item['kind']} {what}".strip(), f"{item['bytes']:,}", saved)
    return table


def quantization_view(report: dict[str, Any], most: int = 12) -> Group:
    """The layers of a quantization, worst first, cut where there are many; then accuracy and warnings."""
    numbers = ("SQNR, dB", "scale", "zero", "range used", "clipped")
    table = _table(
        f"Quantized by '{report['method']}', worst layers first", "#", "layer", "type", *numbers, right=numbers
    )
    for row in report["layers"][:most]:
        sqnr = "exact" if row["sqnr_db"] is None else f"{row['sqnr_db']:.1f}"
        used, clipped = f"{row['used_percent']:.1f}%", f"{row['clipped_percent']:.2f}%"
        cells = (sqnr, f"{row['scale']:.4g}", str(row["zero_point"]), used, clipped)
        table.add_row(str(row["layer"]), row["op"], row["dtype"], *cells)
    lines = [*report["steps"], *(f"Warning: {warning}" for warning in report["warnings"])]
    if len(report["layers"]) > most:
        lines.insert(0, f"{len(report['layers']) - most} better layers are not shown; --json lists them all")
    if (accuracy := report["accuracy"]) is not None:
        found = f"float {accuracy['float']:.2f}, integers {accuracy['integers']:.2f}"
        lines.append(f"Accuracy ({accuracy['metric']}): {found} over {accuracy['samples']} samples")
    parts = [table] if report["layers"] else []
    if (precision := report.get("precision")) is not None and precision["tensors"]:
        parts.append(precision_table(precision, most))
    return Group(*parts, *(Text(line) for line in lines))


def precision_table(precision: dict[str, Any], most: int = 12) -> Table:
    """The tensors of fewer bits, those first that save most bit operations, and the sums."""
    operations, constants = precision["bit_operations"], precision["constant_bytes"]
    factors = [operations[key] / operations["mixed"] for key in ("given", "without_constant_channels")]
    title = (
        f"{factors[0]:.2f} times fewer bit operations than the model as given, {factors[1]:.2f} times fewer than "
        f"without its constant channels; constants {constants['given']:.0f} -> {constants['mixed']:.0f} bytes"
    )
    numbers = ("bits", "bytes saved", "bit operations saved")
    table = _table(title, "tensor", "kind", *numbers, right=numbers)
    rows = sorted(precision["tensors"], key=lambda row: -row["saved_bit_operations"])
    for row in rows[:most]:
        saved = (f"{row['saved_bytes']:.0f}", f"{row['saved_bit_operations']:.0f}")
        table.add_row(row["tensor"], row["kind"], str(row["bits"]), *saved)
    if len(rows) > most:
        table.add_row(f"and {len(rows) - most} more", "", "", "", "")
    return table


def verify_table(report: dict[str, Any]) -> Group:
    """Which runtimes agree with the reference, and the accuracy where there are labels."""
    verify, accuracy = report["verify"], report["accuracy"]
    table = _table(
        f"Against {verify['reference']} over {verify['samples']} samples ({verify['data']})",
        "runtime",
        "samples",
        "values that differ",
        "largest difference",
        right=("samples", "values that differ", "largest difference"),
    )
    for row in verify["runtimes"]:
        style = "red" if row["mismatched_values"] else "green"
        table.add_row(
            row["runtime"],
            str(row["samples"]),
            f"[{style}]{row['mismatched_values']}[/{style}]",
            f"{row['max_abs_diff']:g}",
        )
    if accuracy is None:
        return Group(table)
    line = (
        f"Accuracy ({accuracy['metric']}): reference {accuracy['reference']:.2f}, {accuracy['simulated_on']} "
        f"{accuracy['simulated']:.2f} over {accuracy['samples']} samples"
    )
    return Group(table, line)


def demo_view(report: dict[str, Any]) -> Group:
    """Memory and verification of the demonstration."""
    return Group(memory_table(report), verify_table(report))


def profile_view(report: dict[str, Any]) -> Group:
    """Cycles and flash by layer, cycles by function, and the sums."""
    latency, layers = report["latency"], report["layers"]
    right = ("MACs", "cycles", "MACs/cycle", "share", "weights", "code / layers")
    table = _table(
        f"{report['model']['name']} on {report['target']['name']}", "#", "layer", "kernel", *right, right=right
    )
    for layer in layers:
        cycles = layer["cycles"]
        rate = f"{layer['macs'] / cycles:.3f}" if cycles and layer["macs"] else ""
        share = f"{100 * cycles / latency['cycles']:.1f}%" if cycles is not None else ""
        values = (f"{layer['macs']:,}", _count(cycles), rate, share, _count(layer.get("weights_bytes")), _code(layer))
        table.add_row(str(layer["index"]), layer["op"], layer["kernel"], *values)
    by_function = _table(
        "By function, without those that it calls",
        "function",
        "calls",
        "cycles an inference",
        right=("calls", "cycles an inference"),
    )
    for function in report["functions"][:12]:
        by_function.add_row(function["name"], f"{function['calls']:,}", _count(function["cycles_per_inference"]))
    return Group(table, by_function, latency_text(report))


def _code(layer: dict[str, Any]) -> str:
    """Bytes of a layer's code in flash, and how many layers share it where it is not its own."""
    shared = layer.get("code_shared_by") or 0
    return _count(layer.get("code_bytes")) + (f" / {shared}" if shared > 1 else "")


def latency_text(report: dict[str, Any]) -> str:
    """One inference in cycles and milliseconds, with what the figure is worth."""
    latency, target, memory = report["latency"], report["target"], report["memory"]
    if latency["cycles"] is None:
        return "Cycles: not measured"
    error = target["timing_error_percent"]
    worth = target["timing"] + (f", error up to {error}%" if error is not None else "")
    predicted = "" if latency.get("predicted_ms") is None else f", {latency['predicted_ms']:.4g} ms predicted"
    misses = "" if latency["flash_misses"] is None else f", {latency['flash_misses']:,} flash misses in the run"
    return (
        f"One inference: {latency['cycles']:,} cycles, {latency['ms']:g} ms at {target['clock_hz'] / 1e6:g} MHz "
        f"({worth}){predicted}; stack {_bytes(memory['stack_bytes'])} bytes{misses}{_worst_case_text(latency)}"
    )


def _worst_case_text(latency: dict[str, Any]) -> str:
    """What an inference takes at most, where flags decide what runs."""
    worst = latency.get("worst_case")
    return "" if worst is None else f"; at worst {worst['cycles']:,} cycles, {worst['ms']:g} ms"


def compare_table(result: dict[str, Any]) -> Table:
    """Two builds side by side."""
    this, other = result["this"], result["other"]
    right = ("cycles", "other", "other / this")
    table = _table(
        f"{this['name']} on {this['target']} beside {other['name']} on {other['target']}",
        "#",
        "layer",
        "kernel",
        *right,
        right=right,
    )
    for row in result["layers"]:
        ours, theirs = row["this"] or {}, row["other"] or {}
        a, b = ours.get("cycles"), theirs.get("cycles")
        kernels = " / ".join(dict.fromkeys(k for k in (ours.get("kernel"), theirs.get("kernel")) if k))
        table.add_row(
            str(row["index"]),
            ours.get("op") or theirs.get("op"),
            kernels,
            _count(a),
            _count(b),
            f"{b / a:.2f}" if a and b else "",
        )
    a, b = this["latency"]["cycles"], other["latency"]["cycles"]
    table.add_row("", "all", "", _count(a), _count(b), f"{b / a:.2f}", style="bold")
    return table


def trace_view(trace: Trace, symbols: bool) -> Group:
    """What a simulated run of any ELF measured."""
    table = _table("Simulated run", "figure", "", right=("",))
    rows = {
        "cycles": _count(trace.cycles),
        "timing": trace.timing or "not timed",
        "instructions": _count(trace.instructions),
        "peak stack, bytes": _bytes(trace.peak_stack_bytes),
        "flash misses": _count(trace.flash_misses),
        **{f"loads from {name}": f"{count:,}" for name, count in trace.loads.items()},
        **{f"stores to {name}": f"{count:,}" for name, count in trace.stores.items()},
        "unknown encodings": ", ".join(trace.unknown_encodings) or "none",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    if not symbols:
        return Group(table)
    right = ("calls", "instructions", "cycles", "with callees")
    functions = _table("Functions", "function", *right, right=right)
    for f in sorted(trace.functions, key=lambda f: -(f.cycles or 0)):
        functions.add_row(f.name, f"{f.calls:,}", f"{f.instructions:,}", _count(f.cycles), _count(f.inclusive_cycles))
    return Group(table, functions)


def _count(value: int | None) -> str:
    return "not measured" if value is None else f"{value:,}"


def mismatch_text(verify: dict[str, Any]) -> str:
    """One sentence on the first value that differs and the layer where it began."""
    first = verify["first_mismatch"]
    where = f"sample {first['sample']}, output {first['output']}, element {first['element']}"
    text = (
        f"Outputs differ in {verify['mismatched_values']} values; the first on the {first['runtime']}, {where}: "
        f"{first['got']:g}, expected {first['expected']:g}."
    )
    layer = first["layer"]
    if layer is not None:
        text += f" The first layer that differs is {layer['index']} ({layer['op']}), {layer['source']}."
    return text


def run_table(result: dict[str, Any]) -> str:
    """What a run did."""
    return f"Ran {result['samples']} samples on {' and '.join(result['on'])}; outputs in {result['outputs']}"


def analysis_table(result: dict[str, Any]) -> Table:
    """Fits or not, and why."""
    if not result["supported"]:
        table = _table("Not supported", "blocker")
        for blocker in result["blockers"]:
            table.add_row(blocker)
        return table
    title = f"{'Fits' if result['fits'] else 'Does not fit'} {result['target']}"
    table = _table(title, "", "bytes", "left", right=("bytes", "left"))
    table.add_row("SRAM: arena", _bytes(result["arena_bytes"]), _bytes(result["sram_left_bytes"]))
    gap = result["arena_bytes"] - result["arena_bound_bytes"]
    if gap:
        table.add_row("of it above what is proved to be needed", _bytes(gap), "")
    table.add_row("flash: weights and tables", _bytes(result["weights_bytes"]), _bytes(result["flash_left_bytes"]))
    table.caption = (
        f"{result['macs']:,} MACs in {result['layers']} layers, predicted to take {result['predicted_ms']:.3g} ms; "
        f"the peak is {result['peak']}. {result['note']}"
    )
    return table


def frontier_table(result: dict[str, Any]) -> Table:
    """What each plan takes in bytes and cycles; those that do not fit are red."""
    right = ("arena", "SRAM", "cycles", "more", "ms", "MACs", "steps")
    table = _table(f"{result['model']} on {result['target']}: bytes against cycles", *right, right=right)
    fewest = min((p["cycles"] for p in result["points"]), default=1)
    for p in result["points"]:
        more, macs = f"{100 * (p['cycles'] / fewest - 1):.1f}%", f"{p['mac_factor']:.3f}x"
        cells = (f"{p['arena_bytes']:,}", f"{p['sram_total_bytes']:,}", f"{p['cycles']:,}", more, f"{p['ms']:g}", macs)
        table.add_row(*cells, f"{p['steps']:,}", style=None if p["fits"] else "red")
    limit, chip = result["limit_bytes"], result["ram_bytes"]
    table.caption = f"SRAM: arena, stack and static RAM, of {limit:,} bytes" + (" asked for" if limit < chip else "")
    return table


def target_rows() -> list[dict[str, Any]]:
    """All targets as data."""
    targets = [load_target(name) for name in list_targets()]
    return [
        {
            "name": t.name,
            "title": t.title,
            "core": t.core,
            "clock_hz": t.clock_hz,
            "ram_bytes": t.ram_bytes,
            "flash_bytes": t.flash_bytes,
            "timing": t.timing,
        }
        for t in targets
    ]


def targets_table(rows: list[dict[str, Any]]) -> Table:
    """All targets, one a line on a terminal of 80 columns: without the board, which the title has in brackets."""
    right = ("MHz", "SRAM", "flash")
    table = _table("Targets", "name", "chip", "core", "MHz", "SRAM", "flash", "timing", right=right)
    table.box, table.show_edge, table.pad_edge, table.padding = box.SIMPLE_HEAD, False, False, (0, 1, 0, 0)
    for r in rows:
        mhz = f"{r['clock_hz'] / 1e6:g}"
        sizes = (f"{r['ram_bytes'] >> 10} K", f"{r['flash_bytes'] >> 10} K")
        table.add_row(r["name"], r["title"].partition(" (")[0], r["core"], mhz, *sizes, r["timing"])
    return table


def ops_table(rows: list[dict[str, Any]]) -> Table:
    """All operators with their limits."""
    table = _table("Supported operators", "operator", "limits")
    for row in rows:
        table.add_row(row["operator"], "\n".join(row["limits"]))
    return table


def doctor_table(result: dict[str, Any]) -> Table:
    """Tools found and missing."""
    table = _table("Tools", "tool", "for", "version", "")
    for tool in result["tools"]:
        state = "[green]ok[/green]" if tool["found"] else ("optional" if tool["optional"] else "[red]missing[/red]")
        table.add_row(tool["name"], tool["purpose"], tool["version"] or "", state)
    return table
