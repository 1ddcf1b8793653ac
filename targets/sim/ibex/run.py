"""Firmware on the verilated Ibex SoC: outputs, exact cycles, cycles by function, stack."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thimble.compiler.ir.errors import SimulationFailed, ThimbleError
from thimble.targets.elf import ElfSizes, Symbol, function_at, read_segments, read_sizes
from thimble.targets.model import Target
from thimble.targets.sim.firmware import (
    MAX_CONSOLE_CHARACTERS,
    check_address,
    find_fault,
    parse_stats,
    place,
    read_console,
)
from thimble.targets.sim.ibex.build import simulator_path
from thimble.targets.sim.trace import FunctionCost, Trace

MACHINE_PREFIX = "ibex-"
_GRACE_S = 30.0  # the simulator watches the time itself; this much later it is ended from outside


@dataclass(frozen=True, slots=True)
class IbexRun:
    """The simulator's report and the firmware's console."""

    report: Mapping[str, Any]
    console: str


def run(elf: Path, target: Target, workdir: Path, timeout_s: float = 600) -> Trace:
    """Run a firmware on the RTL, with `workdir` as its folder of files; all figures are exact.

    Cycles and instructions run from reset to the store that ends the run. `peak_stack_bytes` is what the stack
    pointer spans, so space that a function reserves and never writes is in it.
    Raises ToolMissing, and SimulationFailed for a fault, a stack overrun, a hang or an exit code but 0.
    """
    check_address(elf, target)
    simulator = simulator_path(target.simulator.machine.removeprefix(MACHINE_PREFIX))
    sizes = read_sizes(elf)
    result = _simulate(simulator, elf.resolve(), target, sizes.symbols, workdir, timeout_s)
    _raise_on_failure(result, elf, sizes, timeout_s)
    return _trace(result, target)


def _simulate(
    simulator: Path, elf: Path, target: Target, symbols: tuple[Symbol, ...], workdir: Path, timeout_s: float
) -> IbexRun:
    with tempfile.TemporaryDirectory(prefix="thimble-ibex-") as scratch:
        request, report, console = (Path(scratch) / name for name in ("request.txt", "report.json", "console.txt"))
        request.write_text(_request_text(elf, target, symbols, timeout_s, report, console), encoding="utf-8")
        try:
            done = subprocess.run(
                [str(simulator), str(request)],
                cwd=workdir,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=timeout_s + _GRACE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SimulationFailed(f"{elf.name} did not end within {timeout_s:g} s, nor did its simulator.") from error
        if done.returncode != 0:
            raise ThimbleError(f"The Ibex simulator could not run {elf.name}: {done.stderr.strip()}.")
        return IbexRun(json.loads(report.read_text(encoding="utf-8")), read_console(console))


def _request_text(
    elf: Path, target: Target, symbols: tuple[Symbol, ...], timeout_s: float, report: Path, console: Path
) -> str:
    """The simulator's request file, testbench/request.cpp."""
    lines = [
        f"image {elf}",
        f"report {report}",
        f"console {console}",
        f"console_limit {MAX_CONSOLE_CHARACTERS}",
        f"timeout_s {timeout_s}",
        f"wait_states {target.flash.wait_states} {target.ram.wait_states}",
    ]
    lines += [f"segment {segment.address} {segment.offset} {segment.bytes}" for segment in read_segments(elf)]
    lines += [f"function {f.address} {f.bytes} {_word(f.name)}" for f in _functions(symbols)]
    return "\n".join(lines) + "\n"


def _functions(symbols: tuple[Symbol, ...]) -> list[Symbol]:
    """Functions by address, none over another: of two names for one place the first stays."""
    kept: list[Symbol] = []
    for symbol in symbols:
        if symbol.kind == "function" and symbol.bytes:
            if kept and symbol.address < kept[-1].address + kept[-1].bytes:
                continue
            kept.append(symbol)
    return kept


def _word(name: str) -> str:
    """A symbol as one word without what JSON would have to escape."""
    return "".join(c if c.isprintable() and c not in ' "\\' else "_" for c in name) or "_"


def _trace(result: IbexRun, target: Target) -> Trace:
    report, names = result.report, {"flash": target.flash.name, "ram": target.ram.name, "host": "host"}
    return Trace(
        exit_code=report["exit_code"],
        instructions=report["instructions"],
        cycles=report["cycles"],
        peak_stack_bytes=_peak_stack(report),
        functions=tuple(FunctionCost(**function) for function in report["functions"]),
        loads={names[region]: count for region, count in report["loads"].items()},
        stores={names[region]: count for region, count in report["stores"].items()},
        timing="exact",
        stats=parse_stats(result.console),
        console=result.console,
    )


def _peak_stack(report: Mapping[str, Any]) -> int | None:
    return report["stack_top"] - report["lowest_stack"] if report["stack_top"] else None


def _raise_on_failure(result: IbexRun, elf: Path, sizes: ElfSizes, timeout_s: float) -> None:
    """Turn every end but exit code 0, and every stack beyond its reserve, into a sentence that says where."""
    report, symbols = result.report, sizes.symbols
    fault = find_fault(result.console)
    if fault is not None:
        sentence = _overrun_sentence if fault.kind == "stack-overrun" else _fault_sentence
        raise SimulationFailed(sentence(elf, symbols, fault.values))
    where = f"in {place(symbols, report['pc'])}"
    if report["end"] == "timeout":
        raise SimulationFailed(f"{elf.name} did not end within {timeout_s:g} s; it was {where}.")
    if report["end"] == "sleep":
        raise SimulationFailed(f"{elf.name} waits {where} for an interrupt that nothing can raise.")
    if report["end"] == "double fault":
        raise SimulationFailed(f"{elf.name} locked the core up {where}: a fault inside the fault handler.")
    if report["exit_code"] != 0:
        said = result.console.strip().splitlines()
        detail = f" Its last words: {said[-1]}" if said else ""
        raise SimulationFailed(f"{elf.name} ended with exit code {report['exit_code']}.{detail}")
    # Only by luck no fault: a frame reaches below the stack, and nothing was written there.
    if sizes.stack_reserve_bytes and (_peak_stack(report) or 0) > sizes.stack_reserve_bytes:
        values = {"pc": report["lowest_stack_pc"], "sp": report["lowest_stack"]}
        raise SimulationFailed(_overrun_sentence(elf, symbols, values))


def _fault_sentence(elf: Path, symbols: tuple[Symbol, ...], values: Mapping[str, int]) -> str:
    cause = values.get("cause", 0)
    access = f" at its access to 0x{values.get('address', 0):08x}" if cause in _ACCESS_CAUSES else ""
    pc, caller = values.get("pc", 0), function_at(symbols, values.get("lr", 0) - 2)
    called = f", called from {caller}" if caller and caller != function_at(symbols, pc) else ""
    return (
        f"{elf.name} faulted in {place(symbols, pc)}{access}{called} (cause {cause}: {_CAUSES.get(cause, 'unknown')})."
    )


def _overrun_sentence(elf: Path, symbols: tuple[Symbol, ...], values: Mapping[str, int]) -> str:
    return (
        f"{elf.name} overran its stack in {place(symbols, values.get('pc', 0))} "
        f"(stack pointer 0x{values.get('sp', 0):08x}): link it with a larger reserve, -Wl,--defsym=__stack_bytes=N."
    )


# mcause: RISC-V Privileged Architecture, table "Machine cause register values after trap".
_CAUSES = {
    0: "instruction address misaligned",
    1: "instruction access fault",
    2: "illegal instruction",
    3: "breakpoint",
    5: "load access fault",
    7: "store access fault",
    11: "environment call",
}
_ACCESS_CAUSES = (5, 7)
