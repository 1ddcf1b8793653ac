"""Tables of docs/kernels.md about other chips: builds by default, verified with samples, beside plain C.

`python -m tests.bench.proof [CHIP ...]` builds and verifies on all chips, or those named, and writes their rows.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.console import Console

import thimble
from tests.bench.flash import MODELS, PAGE
from tests.bench.models import measure, model_file
from tests.bench.page import PageTable
from tests.shared_data import data_folder
from thimble.codegen.kernels import KernelFamily

VERIFIED = PageTable(
    PAGE,
    "proof",
    """| chip | model | plain C | these kernels | | samples | values that differ |
|---|---|---:|---:|---:|---:|---:|
""",
)
SIZES = PageTable(
    PAGE,
    "without simd",
    """| chip | model | plain C | these kernels | | arena (plain C) | flash (plain C) |
|---|---|---:|---:|---:|---:|---:|
""",
)
SAMPLES = {"stm32h743zi": 2, "stm32u575zi": 2, "mps3-an547": 2, "stm32f207zg": 2, "stm32g0b1re": 2, "ibex": 1}
"""Samples by chip; the RTL of ibex is the slowest simulator."""

WITHOUT_SIMD = ("stm32f207zg", "stm32g0b1re", "ibex")
TITLES = ("kws", "ic", "vww")


def rows(chip: str, title: str, samples: int) -> tuple[str, str]:
    """The cells of one build beside one with plain C: what was verified, and bytes."""
    path, data = model_file(f"mlperf_tiny/{MODELS[title]}"), data_folder() / "eval" / f"{title}01_int8.npz"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        own = thimble.compile(path, chip, out)
        differ = thimble.verify(out, data, samples=samples)["verify"]["mismatched_values"]
    plain, _ = measure(path, chip, kernels=KernelFamily.C)
    slow, fast = plain["latency"]["cycles"], own["latency"]["cycles"]
    begin = f"| {chip} | {title} | {slow / 1e6:.1f} | {fast / 1e6:.2f} | {slow / fast:.1f}x |"
    sizes = (f"{own['memory'][name]:,} ({plain['memory'][name]:,})" for name in ("arena_bytes", "flash_total_bytes"))
    return f"{begin} {samples} | {differ} |", f"{begin} {' | '.join(sizes)} |"


def main(chips: list[str]) -> None:
    """Measure, and write the rows into the page; rows of chips that are not measured stay."""
    console = Console()
    tables: dict[PageTable, list[str]] = {VERIFIED: [], SIZES: []}
    for chip, samples in SAMPLES.items():
        if chips and chip not in chips:
            for table, lines in tables.items():
                lines += table.lines_of(chip)
            continue
        for title in TITLES:
            verified, sizes = rows(chip, title, samples)
            console.print(verified, sizes, sep="\n", soft_wrap=True)
            tables[VERIFIED].append(verified)
            tables[SIZES] += [sizes] if chip in WITHOUT_SIMD else []
    for table, lines in tables.items():
        table.write(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
