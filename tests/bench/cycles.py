"""The committed record of simulated cycles, cycles.json: {target: {model: cycles of one inference on zeros}}."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from tests.bench.models import measure, recorded_pairs

RECORD = Path(__file__).parent / "cycles.json"
TOLERANCE = 0.01
"""A figure may grow by this share before it must be recorded anew, and so be seen in review."""


def read_record() -> dict[str, dict[str, int]]:
    """The committed figures."""
    record: dict[str, dict[str, int]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def main() -> None:
    """Measure all pairs whose model is here, and write the record; figures of absent models stay."""
    console, record = Console(), read_record() if RECORD.is_file() else {}
    for target, model in recorded_pairs():
        if not model.is_file():
            console.print(f"{model.stem} is not here; its figure stays")
            continue
        before = record.get(target, {}).get(model.stem)
        cycles = measure(model, target)[0]["latency"]["cycles"]
        record.setdefault(target, {})[model.stem] = cycles
        console.print(f"{target} {model.stem}: {cycles:,}" + (f" (was {before:,})" if before else ""))
    RECORD.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
