"""One entrance to all simulators: the target says which runs its firmware."""

from __future__ import annotations

from pathlib import Path

from thimble.targets.model import Target
from thimble.targets.sim import qemu
from thimble.targets.sim.arm_timing import run as arm_timing
from thimble.targets.sim.ibex import run as ibex
from thimble.targets.sim.trace import Trace

RTL = "verilator"


def time_limit_s(target: Target, inferences: int) -> float:
    """Seconds after which a run hangs for sure: far more than a model that fits a chip needs on a slow computer.

    RTL runs a few million cycles a second, QEMU some hundred million instructions.
    """
    return 60.0 + inferences * (1800.0 if target.simulator.program == RTL else 60.0)


def simulate(elf: Path, target: Target, workdir: Path, timeout_s: float = 600, timed: bool = False) -> Trace:
    """Run a firmware linked with sim.ld on its target's simulator, with `workdir` as its folder of files.

    `timed` asks for cycles where they cost extra time; a simulator that has them anyway gives them always.
    Raises ToolMissing, and SimulationFailed for a fault, a stack overrun, a hang or an exit code but 0.
    """
    if target.simulator.program == RTL:
        return ibex.run(elf, target, workdir, timeout_s)
    if timed:
        return arm_timing.run(elf, target, workdir, timeout_s)
    return qemu.run(elf, target, workdir, timeout_s)
