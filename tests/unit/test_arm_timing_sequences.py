"""Every rule of a core's timing table on a short sequence whose cycles the manual states, run on QEMU."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thimble.targets.elf import read_sizes
from thimble.targets.sim.arm_timing.request import MemoryModel, Region, TimingRequest, TraceRange
from thimble.targets.sim.arm_timing.run import prepare, read_report
from thimble.targets.sim.arm_timing.tables import load_core

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)

FOLDER = Path(__file__).parent / "timing_sequences"
TABLES = {path.stem: tomllib.loads(path.read_text()) for path in sorted(FOLDER.glob("*.toml"))}
ROWS = [(core, name) for core, table in TABLES.items() for name in table["sequences"]]

# r1 to r3 point into RAM, r5 is 4, r6 and r7 are 0, Z is clear; narrow moves fill the prefetch buffer.
ENTER = """
    ldr r1, ={ram:#x}
    ldr r2, ={ram:#x} + 0x100
    ldr r3, ={ram:#x} + 0x200
    movs r0, #1
    movs r4, #1
    movs r5, #4
    movs r6, #0
    movs r7, #0
    mov r8, r0
"""


def program(table: dict[str, Any]) -> str:
    """Assembly of all sequences of a table, each a function that reset code calls in turn."""
    flash, ram = table.get("flash", 0), table.get("ram", 0x2000_0000)
    lines = [
        '.syntax unified\n.thumb\n.section .vectors, "a"',
        f".word {ram + table.get('stack', 0x8000):#x}, reset + 1" + ", fault + 1" * 5,
        ".text\n.thumb_func\nfault: b fault\n.global reset\n.type reset, %function\n.thumb_func\nreset:",
    ]
    if table.get("fpu", True):
        lines.append("ldr r0, =0xE000ED88\nldr r1, [r0]\nldr r2, =0xF00000\norrs r1, r2\nstr r1, [r0]\ndsb\nisb")
    lines += [f"bl t_{name}" for name in table["sequences"]]
    lines.append("ldr r0, =0x20026\npush {r0, r1}\nmovs r0, #0\nstr r0, [sp, #4]\nmov r1, sp")
    lines.append("movs r0, #0x20\nbkpt 0xAB\n.ltorg\n.size reset, . - reset")
    for name, row in table["sequences"].items():
        asm = "; ".join(part for part in row["asm"].split("; ")).replace("done", f"done_{name}")
        setup = row.get("setup", "").replace("done", f"done_{name}")
        has_done = f"done_{name}:" in asm
        lines.append(f".balign 8\n.type t_{name}, %function\n.thumb_func\nt_{name}:\npush {{r4-r7, lr}}")
        lines.append("mov r4, r8\nmov r5, r9\nmov r6, r10\npush {r4-r6}" if table.get("narrow") else "push {r8-r10}")
        lines.append(ENTER.format(ram=ram + 0x1000) + setup.replace("; ", "\n"))
        # The stack pointer may have moved: it is kept in a register that no sequence touches.
        fence = table.get("fence", "")
        lines.append("movs r4, #1" + "\nmov r8, r8" * 8 + f"\n.balign 4\n{fence}")
        lines.append(f"begin_{name}:\n" + asm.replace("; ", "\n"))
        lines.append(("" if has_done else f"done_{name}:\n") + f"{fence}\nmov r9, r9\nmov r9, r9\nmov r9, r9")
        lines.append("pop {r4-r6}\nmov r8, r4\nmov r9, r5\nmov r10, r6" if table.get("narrow") else "pop {r8-r10}")
        lines.append(f"pop {{r4-r7, pc}}\n.ltorg\n.size t_{name}, . - t_{name}")
    return "\n".join(lines).replace("{flash}", hex(flash)) + "\n"


@pytest.fixture(scope="session")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, int]]:
    """Cycles of all sequences of a core's table; one QEMU run a core."""

    @functools.cache
    def count(core: str) -> dict[str, int]:
        return run_core(TABLES[core], tmp_path_factory.mktemp(core))

    return count


def run_core(table: dict[str, Any], folder: Path) -> dict[str, int]:
    """Cycles from `begin_` to `done_` label of every sequence."""
    source, elf = folder / "sequences.S", folder / "sequences.elf"
    source.write_text(program(table))
    flash, ram = table.get("flash", 0), table.get("ram", 0x2000_0000)
    places = f"-Wl,--section-start=.vectors={flash:#x},-Ttext={flash + 0x400:#x},-ereset"
    compiler = ["arm-none-eabi-gcc", "-mthumb", *table["cpu"].split(), "-nostdlib", "-nostartfiles"]
    subprocess.run([*compiler, places, "-Wl,--no-warn-rwx-segments", "-o", str(elf), str(source)], check=True)
    symbols = read_sizes(elf).symbols
    memory = MemoryModel((Region("flash", flash, 1 << 20), Region("ram", ram, 1 << 20)))
    trace = TraceRange(flash, flash + (1 << 20), folder / "trace.txt")
    session = prepare(TimingRequest(load_core(table["core"]), memory, symbols, trace=trace), folder)
    machine = ["qemu-system-arm", "-M", table["machine"], "-nodefaults", "-display", "none", "-semihosting"]
    command = [*machine, "-kernel", str(elf), *session.options]
    subprocess.run(command, check=True, timeout=20, stdin=subprocess.DEVNULL)
    report = read_report(session.report)
    assert report["unknown"] == []
    times: dict[int, list[int]] = {}
    for line in trace.path.read_text().splitlines():
        cycle, address, _ = line.split()
        times.setdefault(int(address, 16), []).append(int(cycle))
    labels = {symbol.name: symbol.address & ~1 for symbol in symbols}
    return {name: times[labels[f"done_{name}"]][-1] - times[labels[f"begin_{name}"]][0] for name in table["sequences"]}


@pytest.mark.parametrize(("core", "name"), ROWS)
def test_sequence_takes_the_stated_cycles(core: str, name: str, counted: Callable[[str], dict[str, int]]) -> None:
    row = TABLES[core]["sequences"][name]
    assert counted(core)[name] == row["cycles"], f"{row['asm']}: {row['source']}"
