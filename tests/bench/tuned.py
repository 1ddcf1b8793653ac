"""Tables of docs/kernels.md about what `--tune` and RAM bring: cycles of one inference, mostly with `latency`.

`python -m tests.bench.tuned [NAME ...]` builds all models, or those whose titles are given, with what was measured of
their kernels before, and writes their rows.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.flash import MODELS, PAGE, titled_rows
from tests.bench.models import BOARD, measure
from tests.bench.page import PageTable, TableRows
from thimble.compiler.driver import demo
from thimble.compiler.plan.options import Objective

KERNELS = PageTable(
    PAGE,
    "tuned",
    """| model | default, cycles | tuned | | flash, bytes | tuned |
|---|---:|---:|---:|---:|---:|
""",
)
IN_RAM = PageTable(
    PAGE,
    "in ram",
    """| model | chip | all in flash | in RAM | | weights, bytes | code, bytes |
|---|---|---:|---:|---:|---:|---:|
""",
)
BY_READS = PageTable(
    PAGE,
    "fast weights",
    """| model | none | 16 KB | all | bytes of all |
|---|---:|---:|---:|---:|
""",
)
SHIPPED = "the shipped one"
OTHER_CHIPS = ("stm32h743zi", "stm32f746zg", "stm32u575zi", "nrf52840", "stm32g0b1re", "rp2040")
SOME_BYTES, ALL_BYTES = 16 << 10, 1 << 30


@dataclass(frozen=True)
class Built:
    """What is compared of a build."""

    cycles: int
    flash_bytes: int
    weights_bytes: int
    in_ram: dict[str, Any]

    @classmethod
    def of(cls, path: Path, target: str = BOARD, **options: Any) -> Built:
        """Build, and measure one inference."""
        report, _ = measure(path, target, **options)
        memory = report["memory"]
        return cls(
            report["latency"]["cycles"], memory["flash_total_bytes"], memory["fast_weights_bytes"], report["in_ram"]
        )

    def ram_bytes(self, kind: str) -> int:
        """Weights or code that were measured to be worth their RAM."""
        return sum(item["bytes"] for item in self.in_ram["items"] if item["kind"] == kind)


def kernels_row(title: str, path: Path) -> str:
    """Kernels chosen by measurement beside those that the family makes by itself, all in flash."""
    before = Built.of(path, objective=Objective.LATENCY)
    tuned = Built.of(path, objective=Objective.LATENCY, tune=True, fast_weights_bytes=0)
    less = _change(before.cycles, tuned.cycles)
    return (
        f"| {title} | {before.cycles:,} | {tuned.cycles:,} | {less} | {before.flash_bytes:,} | {tuned.flash_bytes:,} |"
    )


def in_ram_row(title: str, path: Path, target: str = BOARD) -> str:
    """What weights and code in RAM bring to tuned kernels."""
    built = Built.of(path, target, objective=Objective.LATENCY, tune=True)
    flash = built.in_ram["cycles_in_flash"]
    sizes = f"{built.ram_bytes('weights'):,} | {built.ram_bytes('code'):,}"
    return f"| {title} | {target} | {flash:,} | {built.cycles:,} | {_change(flash, built.cycles)} | {sizes} |"


def by_reads_row(title: str, path: Path) -> str:
    """Constants in RAM by how often they are read, with nothing measured and the default objective."""
    built = [Built.of(path, fast_weights_bytes=limit) for limit in (0, SOME_BYTES, ALL_BYTES)]
    cells = " | ".join(f"{b.cycles / 1e6:.2f}" if b.cycles >= 1e6 else f"{b.cycles / 1e6:.3f}" for b in built)
    return f"| {title} | {cells} | {built[-1].weights_bytes:,} |"


def _change(before: int, now: int) -> str:
    return f"{100 * now / before - 100:+.1f}%"


def shipped_rows() -> TableRows:
    """The rows of the shipped model on other chips."""
    path = demo.model_path()
    return TableRows(SHIPPED, SHIPPED, True, lambda: (in_ram_row(SHIPPED, path, chip) for chip in OTHER_CHIPS))


def main(titles: list[str]) -> None:
    """Measure, and write the rows into the page; rows of models that are not measured stay."""
    KERNELS.update((titled_rows(title, kernels_row) for title in MODELS), titles)
    IN_RAM.update((*(titled_rows(title, in_ram_row) for title in MODELS), shipped_rows()), titles)
    BY_READS.update((titled_rows(title, by_reads_row) for title in MODELS), titles)


if __name__ == "__main__":
    main(sys.argv[1:])
