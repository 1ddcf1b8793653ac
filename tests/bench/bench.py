"""`make bench`: memory and cycles of real models beside what others reach, and the time that Thimble itself takes.

It fails where a figure is over its record (cycles.py).
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.cycles import measure_all, read_record, regressions
from tests.bench.kernel_layers import LayerCycles, measure_layers
from tests.bench.models import BOARD, MLPERF_TINY, OTHERS, measure, model_file
from thimble.compiler.driver import demo
from thimble.compiler.plan.cycles import cycle_model

TEXT = ("model", "objective", "family", "layer", "kernel")
"""Columns that hold no numbers."""

OBJECTIVES = ("latency", "balanced", "sram")

Rows = list[tuple[dict[str, Any], float]]
Peers = dict[str, Any]


def memory_table(rows: Rows, peers: Peers) -> Table:
    """SRAM and flash of each model; in brackets the share of what TFLite Micro with CMSIS-NN takes."""
    peer = peers["tflm_cmsis_nn"]
    table = _table(
        f"Bytes on {BOARD}, in brackets the share of what {peer['title']} takes",
        ("model", "objective", "MACs", "arena", "least for this order", "stack", "flash", "compile, s"),
    )
    for report, seconds in rows:
        name, memory = report["model"]["name"], report["memory"]
        theirs = peer.get(name, {})
        table.add_row(
            name,
            report["build"]["objective"],
            f"{report['model']['macs_executed']:,}",
            _beside(memory["arena_bytes"], theirs.get("arena")),
            f"{memory['arena_bound_bytes']:,}",
            _beside(memory["stack_bytes"], theirs.get("stack")),
            _beside(memory["flash_total_bytes"], theirs.get("flash")),
            f"{seconds:.1f}",
        )
    return table


def cycles_table(rows: Rows, peers: Peers) -> Table:
    """Cycles of one inference; behind each peer's figure how many times faster (above 1) that peer is than Thimble."""
    others = [peer for key, peer in peers.items() if key != "prototype"]
    timing = rows[0][0]["target"]["timing"]
    table = _table(
        f"Cycles of one inference on {BOARD} ({timing}), in brackets how many times as fast the other is",
        ("model", "objective", "Thimble", *(other["title"] for other in others)),
    )
    for report, _ in rows:
        name, cycles = report["model"]["name"], report["latency"]["cycles"]
        cells = [_peer_cycles(other.get(name, {}).get("cycles"), cycles) for other in others]
        ours = "not measured" if cycles is None else f"{cycles:,}"
        table.add_row(name, report["build"]["objective"], ours, *cells)
    return table


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in TEXT else "right")
    return table


def _beside(ours: int | None, theirs: int | None) -> str:
    if ours is None:
        return "not measured"
    return f"{ours:,}" if theirs is None else f"{ours:,} ({ours / theirs:.2f})"


def _peer_cycles(theirs: int | None, ours: int | None) -> str:
    if theirs is None:
        return ""
    return f"{theirs:,}" if ours is None else f"{theirs:,} ({ours / theirs:.2f})"


def families_table(layers: Mapping[str, LayerCycles], peers: Peers) -> Table:
    """Single layers: cycles and multiply-accumulates a cycle, beside what the prototype of the family reached."""
    prototype = peers["prototype"]
    table = _table(
        f"Single layers on {BOARD}, multiply-accumulates a cycle",
        ("family", "layer", "kernel", "cycles", "MACs/cycle", prototype["title"]),
    )
    for name, layer in layers.items():
        rate = f"{layer.macs / layer.cycles:.2f}" if layer.macs else ""
        theirs = prototype.get(layer.family)
        kernel = cycle_model(BOARD).entry(layer.kernel)
        table.add_row(layer.family, name, kernel, f"{layer.cycles:,}", rate, "" if theirs is None else f"{theirs:.2f}")
    return table


def measure_figures(console: Console) -> tuple[Iterator[tuple[str, dict[str, int]]], dict[str, LayerCycles]]:
    """All recorded figures, measured anew, and the single layers of the reference board."""
    return measure_all(console), measure_layers(BOARD)


def measure_models() -> tuple[Rows, list[Path]]:
    """Reports of the shipped model and of real ones by objective, and the models that are not here."""
    models = [demo.model_path(), *(model_file(name) for name in (*MLPERF_TINY, *OTHERS))]
    present = [model for model in models if model.is_file()]
    rows = [measure(model, objective=objective) for model in present for objective in OBJECTIVES]
    return rows, [model for model in models if not model.is_file()]


def main() -> int:
    """Measure, print the tables, compare with the record; the exit code is 1 for a regression that is not recorded."""
    console = Console(width=170)
    with (Path(__file__).parent / "peers.toml").open("rb") as file:
        peers = tomllib.load(file)
    figures, layers = measure_figures(console)
    console.print(families_table(layers, peers))
    rows, absent = measure_models()
    if rows:
        console.print(memory_table(rows, peers))
        console.print(cycles_table(rows, peers))
    if absent:
        console.print(f"{len(absent)} models are not here (set THIMBLE_DATA): {', '.join(m.stem for m in absent)}")
    record = read_record()
    slower = [line for target, measured in figures for line in regressions({target: measured}, record)]
    for line in slower:
        console.print(line, soft_wrap=True)
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
