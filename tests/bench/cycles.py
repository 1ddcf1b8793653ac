"""The committed record of simulated cycles, cycles.json: {target: {model or layer: cycles of one inference on zeros}}.

`make cycles` measures anew and writes it: the shipped model on all targets, single layers on some (kernel_layers.py),
and MLPerf Tiny's models on the reference board where the data folder is here. Layers are called "layer: <name>".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console

from tests.bench.kernel_layers import TARGETS, LayerCycles, measure_layers
from tests.bench.models import measure, recorded_pairs
from thimble.compiler.ir.errors import ToolMissing

RECORD = Path(__file__).parent / "cycles.json"
TOLERANCE = 0.01
"""A figure may grow by this share before it must be recorded anew, and so be seen in review."""

LAYER = "layer: "

Record = Mapping[str, Mapping[str, int]]


def read_record(file: Path = RECORD) -> dict[str, dict[str, int]]:
    """The committed figures."""
    record: dict[str, dict[str, int]] = json.loads(file.read_text(encoding="utf-8"))
    return record


def regressions(measured: Record, record: Record) -> list[str]:
    """A sentence for each figure that is over its record by more than the tolerance, or that has no record."""
    found = []
    for target, figures in measured.items():
        for name, cycles in figures.items():
            before = record.get(target, {}).get(name)
            if before is None:
                found.append(f"{target}, {name}: {cycles:,} cycles have no record; run `make cycles`.")
            elif cycles > before * (1 + TOLERANCE):
                more = 100 * cycles / before - 100
                found.append(
                    f"{target}, {name}: {cycles:,} cycles, {more:.1f}% over the record of {before:,}; "
                    "if this is meant, run `make cycles` and say why in the commit."
                )
    return found


def layer_figures(layers: Mapping[str, LayerCycles]) -> dict[str, int]:
    """The cycles of single layers by their names in the record."""
    return {f"{LAYER}{name}": layer.cycles for name, layer in layers.items()}


def measure_all(console: Console) -> Iterator[tuple[str, dict[str, int]]]:
    """Every figure whose model and simulator are here, by target; what is not measured is said aloud."""
    for target in TARGETS:
        try:
            yield target, layer_figures(measure_layers(target))
        except ToolMissing as error:
            console.print(f"Layers on {target} not measured: {error}")
    for target, model in recorded_pairs():
        if not model.is_file():
            console.print(f"{model.stem} is not here; its figure stays")
            continue
        try:
            cycles = measure(model, target)[0]["latency"]["cycles"]
        except ToolMissing as error:
            console.print(f"{model.stem} on {target} not measured: {error}")
            continue
        if cycles is None:
            console.print(f"{model.stem} on {target} not measured: its simulator is missing")
        else:
            yield target, {model.stem: cycles}


def main() -> None:
    """Measure, and write the record; figures that cannot be measured here stay."""
    console, record = Console(), read_record() if RECORD.is_file() else {}
    for target, figures in measure_all(console):
        known = record.setdefault(target, {})
        for name, cycles in figures.items():
            before = known.get(name)
            known[name] = cycles
            console.print(f"{target} {name}: {cycles:,}" + (f" (was {before:,})" if before else ""))
        RECORD.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
