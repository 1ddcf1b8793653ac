"""One entrance to all simulators: the target says which runs its firmware."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from thimble.compiler.ir.errors import DoesNotFit, UsageError
from thimble.targets.elf import read_end, read_entry
from thimble.targets.model import Target
from thimble.targets.sim import qemu
from thimble.targets.sim.arm_timing import run as arm_timing
from thimble.targets.sim.arm_timing.request import TraceRange
from thimble.targets.sim.ibex import run as ibex
from thimble.targets.sim.trace import Trace

RTL = "verilator"


def time_limit_s(target: Target, inferences: int) -> float:
    """Seconds after which a run hangs for sure: far more than a model that fits a chip needs on a slow computer.

    RTL runs a few million cycles a second, QEMU some hundred million instructions.
    """
    return 60.0 + inferences * (1800.0 if target.simulator.program == RTL else 60.0)


def at_addresses_of(elf: Path, target: Target) -> Target:
    """`target` on the simulated machine that has memory where `elf` is linked to, for an ELF of any origin.

    An ELF at the chip's own addresses needs a machine that has them; where there is none, the target is returned as
    it is, and the run says what to link with. Raises DoesNotFit where that machine has less memory than the ELF uses.
    """
    machine, entry = target.simulator, read_entry(elf)
    simulated = machine.flash_origin <= entry < machine.flash_origin + machine.flash_bytes
    if simulated or not machine.chip_machine or not target.flash.origin <= entry < target.flash.end:
        return target
    for memory, have in (
        (target.flash, machine.chip_machine_flash_bytes),
        (target.ram, machine.chip_machine_ram_bytes),
    ):
        need = read_end(elf, memory.origin, memory.end) - memory.origin
        if need > have:
            raise DoesNotFit(
                f"{elf.name} is linked for the chip's addresses and uses {need} bytes of {memory.name}, but the "
                f"machine simulated there has {have}: link it with sim.ld.",
                need,
                have,
            )
    simulator = replace(
        machine,
        machine=machine.chip_machine,
        flash_origin=target.flash.origin,
        flash_bytes=machine.chip_machine_flash_bytes,
        ram_origin=target.ram.origin,
        ram_bytes=machine.chip_machine_ram_bytes,
    )
    return replace(target, simulator=simulator)


def simulate(
    elf: Path,
    target: Target,
    workdir: Path,
    timeout_s: float = 600,
    timed: bool = False,
    trace: TraceRange | None = None,
) -> Trace:
    """Run a firmware linked with sim.ld on its target's simulator, with `workdir` as its folder of files.

    `timed` asks for cycles where they cost extra time; a simulator that has them anyway gives them always.
    `trace` asks for a file with every instruction of an address range, which only the timed Arm simulator writes.
    Raises UsageError where it is asked of another, ToolMissing, and
    SimulationFailed for a fault, a stack overrun, a hang or an exit code but 0.
    """
    if target.simulator.program == RTL:
        if trace is not None:
            raise UsageError(f"The simulator of {target.name} writes no trace of instructions.")
        return ibex.run(elf, target, workdir, timeout_s)
    if timed:
        return arm_timing.run(elf, target, workdir, timeout_s, trace=trace)
    return qemu.run(elf, target, workdir, timeout_s)
