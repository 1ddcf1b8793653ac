"""Firmware on QEMU: it reads and writes files in a folder, prints lines, and ends with an exit code.

QEMU executes instructions and knows no time: this gives outputs, stack and faults, never cycles. The firmware can
open any file of this computer by semihosting, so only ELF files that one would also run as a program belong here.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thimble.compiler.ir.errors import SimulationFailed
from thimble.targets import tools
from thimble.targets.elf import Symbol, function_at, read_code, read_sizes
from thimble.targets.model import Target
from thimble.targets.sim.firmware import check_address, find_fault, parse_stats, place, read_console
from thimble.targets.sim.trace import Trace

_PROGRAM_COUNTER = re.compile(r"R15=([0-9a-fA-F]{8})")


@dataclass(frozen=True, slots=True)
class QemuRun:
    """How one QEMU process ended; `program_counter` is known where it had to be stopped or gave up itself."""

    exit_code: int
    timed_out: bool
    console: str
    messages: str
    program_counter: int | None


def run(
    elf: Path,
    target: Target,
    workdir: Path,
    timeout_s: float = 600,
    qemu_options: Sequence[str] = (),
) -> Trace:
    """Run a firmware linked for the simulator's addresses, with `workdir` as its folder of files.

    `qemu_options` are appended to QEMU's command line, such as a plugin. The Trace holds the exit code, console,
    its `thimble: key=value` integers as `stats`, and `peak_stack_bytes` where the firmware prints `stack_bytes`.
    Raises ToolMissing, and SimulationFailed for a fault, a stack overrun, a hang or an exit code but 0.
    """
    program = tools.require(target.simulator.program)
    check_address(elf, target)
    result = _run_qemu(program, elf.resolve(), target, workdir, timeout_s, qemu_options)
    symbols = read_sizes(elf).symbols
    _raise_on_failure(result, elf, symbols, timeout_s)
    stats = parse_stats(result.console)
    return Trace(
        exit_code=result.exit_code,
        peak_stack_bytes=stats.get("stack_bytes"),
        stats=stats,
        console=result.console,
    )


def _run_qemu(
    program: Path, elf: Path, target: Target, workdir: Path, timeout_s: float, options: Sequence[str]
) -> QemuRun:
    """Start QEMU, wait, and collect what it wrote; a run over time is asked where it is, then ended."""
    with tempfile.TemporaryDirectory(prefix="thimble-qemu-") as scratch:
        console, messages = Path(scratch) / "console.txt", Path(scratch) / "messages.txt"
        command = [
            *(str(program), "-M", target.simulator.machine, "-nodefaults", "-display", "none"),
            *("-qmp", "stdio", "-chardev", f"file,id=console,path={console}"),
            *("-semihosting-config", "enable=on,target=native,chardev=console"),
            *("-kernel", str(elf), *options),
        ]
        program_counter = None
        with messages.open("wb") as message_file:
            process = subprocess.Popen(
                command, cwd=workdir, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=message_file
            )
            try:
                timed_out = not _ended_within(process, timeout_s)
                if timed_out:
                    program_counter = _ask_program_counter(process)
            finally:
                process.kill()
                process.communicate()
        text = messages.read_text(errors="replace")
        if program_counter is None and (match := _PROGRAM_COUNTER.search(text)):
            program_counter = int(match.group(1), 16)
        return QemuRun(process.returncode, timed_out, read_console(console), text, program_counter)


def _ended_within(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _ask_program_counter(process: subprocess.Popen[bytes]) -> int | None:
    """Where a running firmware is, by QEMU's monitor protocol (QMP) on its standard input and output."""
    questions: tuple[dict[str, object], ...] = (
        {"execute": "qmp_capabilities"},
        {"execute": "human-monitor-command", "arguments": {"command-line": "info registers"}},
        {"execute": "quit"},
    )
    try:
        answer, _ = process.communicate("\n".join(map(json.dumps, questions)).encode() + b"\n", timeout=10)
    except (subprocess.TimeoutExpired, BrokenPipeError):
        return None
    match = _PROGRAM_COUNTER.search(answer.decode(errors="replace"))
    return int(match.group(1), 16) if match else None


def _raise_on_failure(result: QemuRun, elf: Path, symbols: tuple[Symbol, ...], timeout_s: float) -> None:
    """Turn every end but exit code 0 into a sentence that names the function and address."""
    report = find_fault(result.console)
    if report is not None:
        sentence = _overrun_sentence if report.kind == "stack-overrun" else _fault_sentence
        raise SimulationFailed(sentence(elf, symbols, report.values))
    where = "at an unknown address"
    if result.program_counter is not None:
        where = f"in {place(symbols, result.program_counter)}"
    if result.timed_out:
        raise SimulationFailed(f"{elf.name} did not end within {timeout_s:g} s; it was {where}.")
    if "Lockup" in result.messages:
        raise SimulationFailed(f"{elf.name} locked the core up {where}: a fault inside the fault handler.")
    if result.exit_code != 0:
        said = (result.console.strip() or _without_warnings(result.messages)).splitlines()
        detail = f" Its last words: {said[-1]}" if said else ""
        raise SimulationFailed(f"{elf.name} ended with exit code {result.exit_code}.{detail}")


def _fault_sentence(elf: Path, symbols: tuple[Symbol, ...], values: Mapping[str, int]) -> str:
    pc, status = values.get("pc", 0), values.get("cfsr", 0)
    access = f" at its access to 0x{values['address']:08x}" if "address" in values else ""
    caller = function_at(symbols, values.get("lr", 0) - 2)
    return (
        f"{elf.name} faulted in {place(symbols, pc)}{access}"
        f"{f', called from {caller}' if caller else ''} "
        f"(exception {values.get('exception', 0)}, CFSR 0x{status:08x}: {_status_names(status)})."
    )


def _overrun_sentence(elf: Path, symbols: tuple[Symbol, ...], values: Mapping[str, int]) -> str:
    near = values.get("near", 0)
    function = _called_function(elf, symbols, near) if near else "main"
    return (
        f"{elf.name} overran its stack in or below {function} (stack pointer 0x{values.get('sp', 0):08x}): "
        "link it with a larger reserve, -Wl,--defsym=__stack_bytes=N."
    )


def _called_function(elf: Path, symbols: tuple[Symbol, ...], return_address: int) -> str:
    """The function that the call before a return address went to, else the one that called.

    BL, encoding T1: Arm DDI 0403, A7.7.18.
    """
    call = (return_address & ~1) - 4
    code = read_code(elf, call, 4)
    first, second = int.from_bytes(code[:2], "little"), int.from_bytes(code[2:], "little")
    if len(code) == 4 and first & 0xF800 == 0xF000 and second & 0xD000 == 0xD000:
        sign, j1, j2 = first >> 10 & 1, second >> 13 & 1, second >> 11 & 1
        i1, i2 = 1 ^ j1 ^ sign, 1 ^ j2 ^ sign
        offset = -sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1
        return place(symbols, call + 4 + offset)
    return place(symbols, return_address)


# Configurable Fault Status Register: Arm DDI 0403, B3.2.15.
_STATUS_BITS = {
    0: "instruction access violation",
    1: "data access violation",
    4: "stacking failed",
    8: "instruction bus error",
    9: "data bus error",
    10: "imprecise data bus error",
    12: "stacking failed",
    16: "undefined instruction",
    17: "invalid state",
    18: "invalid return",
    19: "no coprocessor",
    20: "stack overflow",
    24: "unaligned access",
    25: "division by zero",
}


def _status_names(status: int) -> str:
    return ", ".join(name for bit, name in _STATUS_BITS.items() if status >> bit & 1) or "no cause given"


def _without_warnings(messages: str) -> str:
    """QEMU's messages but for its warnings: the machine's network card has no peer, as it should."""
    return "\n".join(line for line in messages.splitlines() if "warning:" not in line)
