"""Firmware on the Ibex RTL: what it reads and writes, every way to fail, and cycles by the rules of Ibex's manual."""

from __future__ import annotations

import dataclasses
import importlib.util
import random
import re
from pathlib import Path

import pytest

from tests.bench.coremark import PUBLISHED, run_coremark
from tests.unit.tiny_firmware import (
    DIVISION_AND_COPIES,
    ECHO,
    FAULT,
    HANG,
    LARGE_FRAME,
    NOINLINE,
    RECURSION,
    build_tiny,
)
from thimble.compiler.ir.errors import SimulationFailed, ThimbleError, ToolMissing
from thimble.targets import tools
from thimble.targets.build import DEFAULT_STACK_BYTES, build_firmware
from thimble.targets.elf import function_at, read_entry, read_sizes
from thimble.targets.model import Target, load_target
from thimble.targets.sim import firmware
from thimble.targets.sim.ibex import build as ibex_build
from thimble.targets.sim.simulate import simulate
from thimble.targets.sim.trace import FunctionCost, Trace

TARGETS = ("ibex", "ibex-fast")
NEEDED = ("riscv64-unknown-elf-gcc", "picolibc", "verilator", "c++")
LACKING = [tool.name for tool in tools.TOOLS if tool.name in NEEDED and tools.find_tool(tool).path is None]
if importlib.util.find_spec(ibex_build.PACKAGE) is None:
    LACKING.append("the Python package pythondata-cpu-ibex")

needs_ibex = pytest.mark.skipif(bool(LACKING), reason=f"no {', '.join(LACKING)}: `thimble doctor` says what to install")


def run(folder: Path, main: str, target: Target | str = "ibex", timeout_s: float = 60) -> Trace:
    """Build a main.c and run it in its own folder."""
    chip = load_target(target) if isinstance(target, str) else target
    return simulate(build_tiny(folder, main, chip).sim_elf, chip, folder, timeout_s)


def costs(trace: Trace) -> dict[str, FunctionCost]:
    return {function.name: function for function in trace.functions}


@needs_ibex
@pytest.mark.parametrize("name", TARGETS)
def test_echo(name: str, tmp_path: Path) -> None:
    data = random.Random(name).randbytes(4567)
    (tmp_path / "inputs.bin").write_bytes(data)
    trace = run(tmp_path, ECHO, name)
    assert (tmp_path / "outputs.bin").read_bytes() == data
    assert (trace.exit_code, trace.stats["chunks"], trace.stats["word"]) == (0, 5, 0x89ABCDEF)
    assert trace.stats["reserve"] == DEFAULT_STACK_BYTES
    assert trace.timing == "exact"
    # The stack pointer spans at least what the paint shows.
    assert trace.peak_stack_bytes is not None
    assert 16 < trace.stats["stack_bytes"] <= trace.peak_stack_bytes < 400
    # Every cycle and every instruction belongs to one function.
    assert trace.cycles == sum(f.cycles or 0 for f in trace.functions)
    assert trace.instructions == sum(f.instructions for f in trace.functions)
    assert costs(trace)["semihosting_read"].calls == 6
    reset = costs(trace)["Reset_Handler"].inclusive_cycles
    assert reset is not None
    assert trace.cycles is not None
    assert trace.cycles - 20 < reset < trace.cycles
    assert set(trace.loads) == set(trace.stores) == {"flash", "sram", "host"}
    assert trace.stores["flash"] == 0
    # Each host call stores its operation and its argument.
    assert trace.stores["host"] == 2 * trace.loads["host"] + 2


@needs_ibex
def test_two_runs_are_equal(tmp_path: Path) -> None:
    (tmp_path / "inputs.bin").write_bytes(b"data")
    images = build_tiny(tmp_path, ECHO, load_target("ibex"))
    first, second = (simulate(images.sim_elf, load_target("ibex"), tmp_path) for _ in range(2))
    assert first == second


@needs_ibex
def test_image(tmp_path: Path) -> None:
    images = build_tiny(tmp_path, DIVISION_AND_COPIES, load_target("ibex"))
    assert simulate(images.sim_elf, load_target("ibex"), tmp_path).exit_code == 0
    sizes = read_sizes(images.chip_elf)
    assert function_at(sizes.symbols, read_entry(images.chip_elf)) == "Reset_Handler"
    names = {symbol.name for symbol in sizes.symbols}
    assert not names & {"malloc", "free", "_sbrk", "_exit", "printf", "__libc_init_array"}
    assert sizes.text_bytes < 2500
    # The chip is its own simulator.
    assert images.chip_elf.read_bytes() == images.sim_elf.read_bytes()


# A few instructions in a row, and the cycles that one takes in the configurations small and maxperf: one and its
# stall cycles, Ibex reference guide, "Multi- and Single-Cycle Instructions",
# and "Multiplier/Divider Block" for the divisions.
# It tells of maxperf only what differs by the multiplier and the branch target adder; None elsewhere.
RULES: dict[str, tuple[str, int, int | None]] = {
    "computational": ("add a1, a1, a2", 1, 1),
    "csr_access": ("csrr a1, mscratch", 1, None),
    "load": ("lw a1, 0(sp)", 2, None),
    "store": ("sw a1, -4(sp)", 2, None),
    "mul": ("mul a1, a1, a2", 3, 1),
    "mulh": ("mulh a1, a1, a2", 4, 2),
    "div": ("div a1, a3, a4", 37, 37),
    "rem": ("remu a1, a3, a4", 37, 37),
    "div_by_zero": ("div a1, a3, zero", 2, 2),
    "jump": ("j .+4", 2, 2),
    "branch_not_taken": ("bne zero, zero, .+8", 1, 1),
    "branch_taken": ("beq zero, zero, .+4", 3, 2),
}
REPEATS = 12


def rule_functions() -> str:
    """A function for each rule, and an empty one; no compressed code, so that each fetch is one instruction."""
    text = ""
    for name, code in [("empty", ""), *((name, rule[0]) for name, rule in RULES.items())]:
        body = f".rept {REPEATS}\\n{code}\\n.endr\\n" if code else ""
        text += (
            f"__attribute__((naked, noinline, aligned(4))) void rule_{name}(void) {{ __asm__ volatile("
            f'".option push\\n.option norvc\\n.option arch, +zicsr\\n{body}ret\\n.option pop"); }}\n'
        )
    return text


def rules_main() -> str:
    calls = "".join(f"    rule_{name}();\n" for name in ("empty", *RULES))
    setup = '__asm__ volatile("li a3, 1000\\nli a4, 7" ::: "a3", "a4");'
    return f"{rule_functions()}int main(void) {{\n    {setup}\n{calls}    return 0;\n}}\n"


@needs_ibex
@pytest.mark.parametrize("name", TARGETS)
def test_cycles_by_the_manual(name: str, tmp_path: Path) -> None:
    functions = costs(run(tmp_path, rules_main(), name))
    empty = functions["rule_empty"].inclusive_cycles
    assert empty is not None
    for rule, (_, small, maxperf) in RULES.items():
        function, expected = functions[f"rule_{rule}"], maxperf if name == "ibex-fast" else small
        assert function.instructions == REPEATS + 1
        if expected is not None:
            assert (rule, (function.inclusive_cycles or 0) - empty) == (rule, REPEATS * expected)


@needs_ibex
def test_wait_states(tmp_path: Path) -> None:
    """A wait state in flash delays each word fetched, one in SRAM each load, by a cycle."""
    target = load_target("ibex")
    flash, sram = target.memories
    base = costs(run(tmp_path, rules_main(), target))
    for slow in (1, 5):
        memories = (dataclasses.replace(flash, wait_states=slow), sram)
        fetched = costs(run(tmp_path, rules_main(), dataclasses.replace(target, memories=memories)))
        empty, adds = (fetched[f"rule_{name}"].inclusive_cycles or 0 for name in ("empty", "computational"))
        assert adds - empty == REPEATS * (1 + slow)
        memories = (flash, dataclasses.replace(sram, wait_states=slow))
        loaded = costs(run(tmp_path, rules_main(), dataclasses.replace(target, memories=memories)))
        for name, waits in (("load", slow), ("store", slow), ("mul", 0)):
            was, now = (run_of[f"rule_{name}"].inclusive_cycles or 0 for run_of in (base, loaded))
            assert now - was == REPEATS * waits


CYCLE_COUNTER = """
#include "semihosting.h"
NOINLINE static uint32_t cycles(void) {
    uint32_t value;
    __asm__ volatile(".option push\\n.option arch, +zicsr\\ncsrr %0, mcycle\\n.option pop" : "=r"(value)::"memory");
    return value;
}
NOINLINE static void nothing(void) { __asm__ volatile(""); }
NOINLINE static uint32_t work(uint32_t n) {
    volatile uint32_t sum = 1;
    for (uint32_t i = 0; i < n; i++) { sum = sum * 3u + i / (sum | 1u); }
    return sum;
}
int main(void) {
    const uint32_t a = cycles();
    nothing();
    const uint32_t b = cycles();
    const uint32_t result = work(50);
    const uint32_t c = cycles();
    semihosting_write0("thimble: nothing=");
    semihosting_write_u32(b - a);
    semihosting_write0(" work=");
    semihosting_write_u32(c - b);
    semihosting_write0("\\n");
    return result == 0u;
}
"""


@needs_ibex
@pytest.mark.parametrize("name", TARGETS)
def test_the_profile_agrees_with_the_cores_own_counter(name: str, tmp_path: Path) -> None:
    trace = run(tmp_path, NOINLINE + CYCLE_COUNTER, name)
    work, nothing = (function_starting(trace, start).inclusive_cycles or 0 for start in ("work", "nothing"))
    # Between the two reads lie the call itself and what the compiler puts around it: a few cycles.
    assert 0 <= trace.stats["nothing"] - nothing < 12
    assert 0 <= trace.stats["work"] - work < 12
    assert work > 2000


def function_starting(trace: Trace, start: str) -> FunctionCost:
    """The function of that name, or the compiler's clone of it."""
    return next(f for f in trace.functions if re.fullmatch(rf"{start}(\.\w+)*", f.name))


CALLS = """
NOINLINE static uint32_t leaf(uint32_t n) { volatile uint32_t x = n; return x + 1u; }
NOINLINE static uint32_t tail(uint32_t n) { return leaf(n * 2u); }
NOINLINE static uint32_t fib(uint32_t n) {
    volatile uint32_t sum = n;
    if (n >= 2u) { sum = fib(n - 1u); sum += fib(n - 2u); }
    return sum;
}
NOINLINE static uint32_t ping(uint32_t n, uint32_t (*other)(uint32_t)) { return other(n) + other(n + 1u); }
int main(void) { return tail(1) == 3u && ping(2, leaf) == 7u && fib(6) == 8u ? 0 : 1; }
"""


@needs_ibex
def test_calls_tail_calls_and_recursion(tmp_path: Path) -> None:
    main = CALLS.replace("NOINLINE", 'NOINLINE __attribute__((noipa, optimize(1, "optimize-sibling-calls")))')
    functions = costs(run(tmp_path, NOINLINE.replace("noinline", "__noinline__") + main))
    leaf, tail, ping, fib, main_cost = (functions[name] for name in ("leaf", "tail", "ping", "fib", "main"))
    assert (leaf.calls, tail.calls, ping.calls, main_cost.calls) == (3, 1, 1, 1)
    # Of the three equal runs of leaf, tail's own one and ping's two are within these.
    one_leaf = (leaf.inclusive_cycles or 0) // 3
    assert leaf.inclusive_cycles == leaf.cycles == 3 * one_leaf
    assert tail.inclusive_cycles == (tail.cycles or 0) + one_leaf
    assert ping.inclusive_cycles == (ping.cycles or 0) + 2 * one_leaf
    assert tail.inclusive_instructions == tail.instructions + leaf.instructions // 3
    # fib(n) calls itself 2 fib(n+1) - 1 times in all; its inclusive cycles count once.
    assert fib.calls == 2 * 13 - 1
    assert fib.inclusive_cycles == fib.cycles
    inner = sum(f.inclusive_cycles or 0 for f in (tail, ping, fib))
    assert main_cost.inclusive_cycles == (main_cost.cycles or 0) + inner


FAILURES = {
    "store to nowhere": (
        NOINLINE + FAULT,
        r"faulted in poke\S* at 0x\w+ at its access to 0xe0200000, called from main \(cause 7: store access fault\)",
    ),
    "null": (
        "int main(void) { int *volatile place = 0; return *place; }",
        r"faulted in main at 0x\w+ at its access to 0x00000000, called from board_start \(cause 5: load access fault\)",
    ),
    "store to flash": (
        "#include <stdint.h>\nint main(void) { *(volatile uint32_t *)((uintptr_t)&main & ~3u) = 3; return 0; }",
        r"faulted in main at 0x\w+ at its access to 0x2\w+, called from board_start \(cause 7: store access fault\)",
    ),
    "illegal instruction": (
        '__attribute__((noinline)) static void broken(void) { __asm__ volatile(".word 0xffffffff"); }\n'
        "int main(void) { broken(); return 0; }",
        r"faulted in broken at 0x\w+, called from main \(cause 2: illegal instruction\)",
    ),
    "jump to nowhere": (
        "int main(void) { return ((int (*)(void))0x30000000)() + 1; }",
        r"faulted in no known function at 0x30000000, called from main \(cause 1: instruction access fault\)",
    ),
    "recursion": (NOINLINE + RECURSION, r"overran its stack in recurse\S* at 0x\w+ \(stack pointer 0x0f"),
    "large frame": (NOINLINE + LARGE_FRAME, r"overran its stack in large_frame\S* at 0x\w+ \(stack pointer 0x0ff"),
    "frame below the stack that is never written there": (
        NOINLINE + "NOINLINE static int lucky(int n) { volatile int local[2000]; return local[n] = n; }\n"
        "int main(void) { return lucky(1999) == 1999 ? 0 : 1; }",
        r"overran its stack in lucky\S* at 0x\w+ \(stack pointer 0x0ffff",
    ),
    "sleep": (
        NOINLINE + 'NOINLINE static void doze(void) { __asm__ volatile("wfi"); }\nint main(void) { doze(); return 0; }',
        r"waits in doze\S* at 0x\w+ for an interrupt that nothing can raise",
    ),
    "exit code": (
        '#include "semihosting.h"\nint main(void) { semihosting_write0("no inputs.bin\\n"); return 3; }',
        r"ended with exit code 3. Its last words: no inputs.bin",
    ),
}


@needs_ibex
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("failure", FAILURES)
def test_failures_say_where(failure: str, name: str, tmp_path: Path) -> None:
    main, message = FAILURES[failure]
    with pytest.raises(SimulationFailed, match=message):
        run(tmp_path, main, name)


@needs_ibex
def test_hang(tmp_path: Path) -> None:
    with pytest.raises(SimulationFailed, match=r"did not end within 0.5 s; it was in wait_for\S* at 0x2"):
        run(tmp_path, NOINLINE + HANG, timeout_s=0.5)


@needs_ibex
def test_fault_in_the_fault_handler(tmp_path: Path) -> None:
    """A trap handler of the firmware's own that faults itself would run for ever."""
    target = load_target("ibex")
    build_tiny(tmp_path, NOINLINE + FAULT, target)
    startup = (tmp_path / "startup.c").read_text()
    (tmp_path / "startup.c").write_text(startup.replace('"mv a0, sp\\n\\t"', '"lw a0, 0(zero)\\n\\t"'))
    images = build_firmware(tmp_path, target, "tiny").sim_elf
    with pytest.raises(
        SimulationFailed, match=r"locked the core up in \w+ at 0x2\w+: a fault inside the fault handler"
    ):
        simulate(images, target, tmp_path)


@needs_ibex
def test_endless_console_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thimble.targets.sim.ibex.run.MAX_CONSOLE_CHARACTERS", 100)
    assert firmware.MAX_CONSOLE_CHARACTERS > 100
    loop = 'for (int i = 0; i < 99; i++) { semihosting_write0("word\\n"); }'
    trace = run(tmp_path, f'#include "semihosting.h"\nint main(void) {{ {loop} return 0; }}')
    assert len(trace.console) == 100


@needs_ibex
def test_image_of_another_chip_is_refused(tmp_path: Path) -> None:
    elf = build_tiny(tmp_path, "int main(void) { return 0; }", load_target("stm32f411re")).sim_elf
    with pytest.raises(ThimbleError, match=r"tiny_sim.elf starts at 0x0\w+, outside the flash of the simulated ibex-"):
        simulate(elf, load_target("ibex"), tmp_path)


@needs_ibex
@pytest.mark.parametrize("name", TARGETS)
def test_coremark_is_within_one_percent_of_the_published(name: str) -> None:
    """One iteration: a run of ten differs by less than 0.1 %. docs/timing-ibex.md has the table."""
    score = run_coremark(name, iterations=1)
    assert abs(score.per_mhz / PUBLISHED[name] - 1) < 0.01


def test_missing_tools_name_the_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(ToolMissing, match=r"apt-get install verilator$"):
        ibex_build.simulator_path("small")
    for program in ("verilator", "make", "g++"):
        (folder / program).write_text("#!/bin/sh\n")
        (folder / program).chmod(0o755)
    monkeypatch.setattr(ibex_build, "PACKAGE", "no_such_package")
    with pytest.raises(ToolMissing, match=r"pip install 'thimble\[ibex\]'$"):
        ibex_build.simulator_path("small")


def test_failed_build_shows_the_tools_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec(ibex_build.PACKAGE) is None:
        pytest.skip("no pythondata-cpu-ibex")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for program, script in (("verilator", "echo %Error: odd >&2; exit 1"), ("make", ""), ("g++", "")):
        (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    with pytest.raises(ThimbleError, match=r"does not build here, verilator says:\n%Error: odd"):
        ibex_build.simulator_path("small")


def test_unknown_configuration() -> None:
    with pytest.raises(ThimbleError, match="no configuration 'huge': there are small, maxperf"):
        ibex_build.simulator_path("huge")
