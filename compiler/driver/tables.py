"""Results as tables for the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table

from thimble.targets.model import list_targets, load_target


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
    table.add_row("stack, measured", _bytes(memory["stack_bytes"]), "")
    table.add_row("other static RAM", _bytes(memory["static_ram_bytes"]), "")
    table.add_row("SRAM, total", _bytes(memory["sram_total_bytes"]), f"{ram:,}", style="bold")
    table.add_row("weights and tables", _bytes(memory["weights_bytes"]), "")
    table.add_row("code", _bytes(memory["code_bytes"]), "")
    table.add_row("flash, total", _bytes(memory["flash_total_bytes"]), f"{flash:,}", style="bold")
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
    table.add_row("least possible for this order", _bytes(result["arena_bound_bytes"]), "")
    table.add_row("flash: weights and tables", _bytes(result["weights_bytes"]), _bytes(result["flash_left_bytes"]))
    table.caption = f"{result['macs']:,} MACs in {result['layers']} layers; peak at layer {result['peak_layer']}. " + str(
        result["note"]
    )
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
    """All targets."""
    right = ("MHz", "SRAM", "flash")
    table = _table("Targets", "name", "chip", "core", "MHz", "SRAM", "flash", "timing", right=right)
    for r in rows:
        mhz = f"{r['clock_hz'] / 1e6:g}"
        sizes = (f"{r['ram_bytes'] >> 10} K", f"{r['flash_bytes'] >> 10} K")
        table.add_row(r["name"], r["title"], r["core"], mhz, *sizes, r["timing"])
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
