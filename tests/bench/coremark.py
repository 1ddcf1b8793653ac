"""CoreMark on the Ibex targets, as lowRISC builds it; its sources come with the package of the Ibex RTL.

`python -m tests.bench.coremark` prints the table of docs/timing-ibex.md.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.shared_data import ROOT
from thimble.targets import tools
from thimble.targets.build import board_files
from thimble.targets.model import load_target
from thimble.targets.sim.ibex.build import ibex_folder
from thimble.targets.sim.simulate import simulate
from thimble.targets.sim.trace import Trace

PORT_DIR = ROOT / "tests" / "bench" / "coremark_port"
SOURCES = ("core_list_join.c", "core_main.c", "core_matrix.c", "core_state.c", "core_util.c")
VALIDATED = "Correct operation validated"

# README.md of Ibex, CoreMark/MHz of the configurations "small" and "maxperf"; both with -march=rv32im, which
# examples/sw/benchmarks/README.md calls the best for them.
PUBLISHED = {"ibex": 2.47, "ibex-fast": 3.13}

# examples/sw/benchmarks/coremark/ibex/core_portme.mak of Ibex.
FLAGS = (
    *("-mabi=ilp32", "-mcmodel=medlow", "-mtune=sifive-3-series", "-O3", "-falign-functions=16"),
    *("-funroll-all-loops", "-finline-functions", "-falign-jumps=4", "-ffreestanding", "-mstrict-align"),
    *("-DTOTAL_DATA_SIZE=2000", "-nostartfiles", "--specs=picolibc.specs", "-Wl,--gc-sections", "-T", "sim.ld"),
)


@dataclass(frozen=True, slots=True)
class Score:
    """One CoreMark run: the cycles that it counted itself, between its start and stop of time."""

    target: str
    march: str
    iterations: int
    cycles: int
    trace: Trace

    @property
    def per_mhz(self) -> float:
        """CoreMark per MHz: iterations a million cycles."""
        return self.iterations * 1e6 / self.cycles


def run_coremark(target_name: str, march: str = "rv32im", iterations: int = 10) -> Score:
    """Build CoreMark for a target and run it. Raises ThimbleError where its own check of its results fails."""
    target = load_target(target_name)
    sources = ibex_folder() / "vendor" / "eembc_coremark"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        board = board_files(target)
        for file, text in board.items():
            (folder / file).write_text(text)
        elf = folder / "coremark_sim.elf"
        command = [
            *(str(tools.require("riscv64-unknown-elf-gcc")), f"-march={march}", *FLAGS, f"-DITERATIONS={iterations}"),
            *("-I", str(sources), "-I", str(PORT_DIR), "-I", ".", "-o", str(elf)),
            *(str(sources / file) for file in SOURCES),
            str(PORT_DIR / "core_portme.c"),
            *(file for file in board if file.endswith(".c")),
        ]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        trace = simulate(elf, target, folder)
    if VALIDATED not in trace.console:
        raise RuntimeError(f"CoreMark on {target_name} does not validate its results:\n{trace.console}")
    return Score(target_name, march, iterations, trace.stats["coremark_cycles"], trace)


def main() -> None:
    """Print the table in Markdown."""
    print("| target | -march | iterations | cycles | CoreMark/MHz | published | difference |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, published in PUBLISHED.items():
        for march in ("rv32im", "rv32imc"):
            score = run_coremark(name, march)
            beside = f"{published:.2f} | {100 * (score.per_mhz / published - 1):+.1f} %" if march == "rv32im" else "| "
            print(f"| {name} | {march} | {score.iterations} | {score.cycles:,} | {score.per_mhz:.3f} | {beside} |")


if __name__ == "__main__":
    main()
