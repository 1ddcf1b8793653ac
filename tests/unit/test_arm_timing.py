"""The timing plugin as a whole: functions, memory, caches, stack, unknown encodings, and the same figures twice."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from thimble.compiler.ir.errors import ThimbleError
from thimble.targets.elf import read_sizes
from thimble.targets.model import list_targets, load_target
from thimble.targets.sim.arm_timing.build import plugin_path
from thimble.targets.sim.arm_timing.layout import memory_model, stack_range
from thimble.targets.sim.arm_timing.request import Cache, MemoryModel, Region, TimingRequest, TraceRange
from thimble.targets.sim.arm_timing.run import prepare, read_report
from thimble.targets.sim.arm_timing.tables import InstructionRow, list_cores, load_core, parse_core

needs_tools = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)

NO_WAIT = MemoryModel((Region("flash", 0, 1 << 20, flash=True), Region("ram", 0x2000_0000, 1 << 20)))

START = """
.syntax unified
.thumb
.section .vectors, "a"
.word 0x20008000, reset + 1, stop + 1, stop + 1, stop + 1, stop + 1, stop + 1
.text
.thumb_func
stop: b stop
.global reset
.type reset, %function
.thumb_func
reset:
bl main
ldr r0, =0x20026
movs r1, #0
push {r0, r1}
mov r1, sp
movs r0, #0x20
bkpt 0xAB
.ltorg
.size reset, . - reset
"""


def function(name: str, body: str) -> str:
    head = f".balign 32\n.global {name}\n.type {name}, %function\n.thumb_func\n{name}:\n"
    return f"{head}{body}\n.ltorg\n.size {name}, . - {name}\n"


def link(folder: Path, source: str, cpu: str = "cortex-m4") -> Path:
    """Assemble and link `source` behind the start-up code; code at 0x400, RAM at 0x20000000."""
    path, elf = folder / "program.S", folder / "program.elf"
    path.write_text(START + source)
    options = [f"-mcpu={cpu}", "-mthumb", "-nostdlib", "-nostartfiles", "-Wl,--no-warn-rwx-segments"]
    places = "-Wl,--section-start=.vectors=0,-Ttext=0x400,-ereset"
    subprocess.run(["arm-none-eabi-gcc", *options, places, "-o", str(elf), str(path)], check=True)
    return elf


def run(elf: Path, memory: MemoryModel | None = NO_WAIT, machine: str = "mps2-an386", **changes: Any) -> dict[str, Any]:
    """The plugin's report of one run, on a Cortex-M4 where nothing else is said."""
    request = TimingRequest(load_core("cortex-m4"), memory, read_sizes(elf).symbols, (0x2000_4000, 0x2000_8000))
    session = prepare(dataclasses.replace(request, **changes), elf.parent)
    program = ["qemu-system-arm", "-M", machine, "-nodefaults", "-display", "none", "-semihosting"]
    command = [*program, "-kernel", str(elf), *session.options]
    subprocess.run(command, check=True, timeout=20, stdin=subprocess.DEVNULL)
    return read_report(session.report)


def by_name(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(f for f in report["functions"] if f["name"] == name)
    return found


CALLS = (
    function("main", "push {r4, lr}\nmovs r0, #5\nbl recurse\nbl outer\nbl outer\npop {r4, pc}")
    # Jumps to the return address of its own call without returning: no frame may be popped there.
    + function("recurse", "push {r4, lr}\nsubs r0, #1\nbeq 1f\nbl recurse\n1: nop\npop {r4, pc}")
    + function("outer", "nop\nnop\nb tail")
    + function("tail", "push {lr}\nbl leaf\npop {pc}")
    + function("leaf", "nop\nnop\nnop\nnop\nbx lr")
)


@needs_tools
def test_functions_have_their_calls_and_cycles(tmp_path: Path) -> None:
    report = run(link(tmp_path, CALLS))
    calls = {f["name"]: f["calls"] for f in report["functions"]}
    assert calls == {"reset": 0, "main": 1, "recurse": 5, "outer": 2, "tail": 2, "leaf": 2}
    assert sum(f["cycles"] for f in report["functions"]) == report["cycles"]
    assert sum(f["instructions"] for f in report["functions"]) == report["instructions"]


@needs_tools
def test_inclusive_cycles_count_a_recursion_once_and_what_is_called_by_a_jump(tmp_path: Path) -> None:
    report = run(link(tmp_path, CALLS))
    recurse, tail, leaf = (by_name(report, name) for name in ("recurse", "tail", "leaf"))
    assert recurse["inclusive_cycles"] == recurse["cycles"]
    # A return's refill is charged to the block that it returns to, here of tail.
    assert leaf["inclusive_cycles"] == leaf["cycles"]
    assert tail["inclusive_cycles"] == tail["cycles"] + leaf["cycles"]
    assert by_name(report, "outer")["inclusive_cycles"] == by_name(report, "outer")["cycles"] + tail["inclusive_cycles"]
    main = by_name(report, "main")["inclusive_cycles"]
    assert main == sum(f["cycles"] for f in report["functions"] if f["name"] != "reset")


@needs_tools
def test_the_same_run_gives_the_same_figures(tmp_path: Path) -> None:
    elf = link(tmp_path, CALLS)
    model = memory_model(load_target("stm32l4r5zi"))
    assert run(elf, model) == run(elf, model)


@needs_tools
def test_memory_off_changes_no_cycle_where_memory_never_waits(tmp_path: Path) -> None:
    elf = link(tmp_path, CALLS)
    off = run(elf, None)
    assert off["cycles"] == run(elf, NO_WAIT)["cycles"]
    assert off["peak_stack_bytes"] == -1


@needs_tools
def test_conditional_accesses_are_seen_with_memory_off(tmp_path: Path) -> None:
    body = "mov r1, sp\nmovs r4, #0\ncmp r4, #0\nitt ne\nldrne r0, [r1]\nldrne r0, [r1, #4]\nbx lr"
    elf = link(tmp_path, function("main", body))
    assert run(elf, None)["cycles"] == run(elf, NO_WAIT)["cycles"]


@needs_tools
def test_accesses_are_counted_by_region_and_stack_by_its_lowest_store(tmp_path: Path) -> None:
    body = "push {r4-r7, lr}\nldr r0, =0x20000004\nstr r0, [r0]\nldm r0, {r1, r2, r3}\nadr r4, 1f\nldr r5, [r4]\n"
    report = run(link(tmp_path, function("main", body + "pop {r4-r7, pc}\n.balign 4\n1: .word 0")))
    regions = {r["name"]: (r["loads"], r["stores"]) for r in report["regions"]}
    # RAM: 3 + 5 loads; 1 + 5 stores and the two of the exit call; flash: two literals and one constant.
    assert regions["ram"] == (8, 8)
    assert regions["flash"] == (3, 0)
    assert report["peak_stack_bytes"] == 20


def art(wait: int, lines: int = 64, prefetch: bool = False) -> MemoryModel:
    """Flash of 16-byte lines."""
    flash = Region("flash", 0, 1 << 20, wait, wait, 0, 1, prefetch, flash=True)
    return MemoryModel((flash, NO_WAIT.regions[1]), (Cache(16, 16, lines, lines), Cache(16, 16, 8, 8)))


def cycles_of(report: dict[str, Any], name: str) -> int:
    cycles: int = by_name(report, name)["cycles"]
    return cycles


@needs_tools
def test_cold_code_waits_for_each_line(tmp_path: Path) -> None:
    # 64 wide instructions: 16 lines of four words. A line is read in 1 + 7 cycles, its other three words in one each.
    elf = link(tmp_path, function("main", "mov.w r0, r0\n" * 64 + "bx lr"))
    assert cycles_of(run(elf, art(7)), "main") == pytest.approx(16 * 11, abs=12)
    # With prefetch the next line is read while this one is used: 1 + 7 cycles a line, after what the caller read.
    assert cycles_of(run(elf, art(7, prefetch=True)), "main") == pytest.approx(16 * 8, abs=16)


@needs_tools
def test_a_loop_that_fits_waits_once_and_one_that_does_not_each_time(tmp_path: Path) -> None:
    body = "movs r1, #10\n1:\n" + "mov.w r0, r0\n" * 32 + "subs r1, #1\nbne 1b\nbx lr"
    elf = link(tmp_path, function("main", body))
    without = cycles_of(run(elf), "main")
    fits, thrashes = run(elf, art(5)), run(elf, art(5, lines=8))
    assert without < cycles_of(fits, "main") < without + 10 * 8
    assert cycles_of(thrashes, "main") > without + 10 * 8 * 5
    misses = [report["regions"][0]["fetch_misses"] for report in (fits, thrashes)]
    assert misses[0] < 20 < 80 < misses[1]


@needs_tools
def test_constants_in_flash_wait_where_no_line_holds_them(tmp_path: Path) -> None:
    load = "ldr r0, =table\nmovs r1, #8\n1: ldr r2, [r0], #4\nmov r3, r3\nsubs r1, #1\nbne 1b\nbx lr"
    elf = link(tmp_path, function("main", load) + ".balign 16\ntable: .space 64")
    report = run(elf, art(5))
    # Eight words in two lines, and the line of the literal: three reads of five wait states.
    assert report["regions"][0]["data_misses"] >= 3
    flash = dataclasses.replace(art(5).regions[0], fetch_wait=0, fetch_cache=None)
    only_data = run(elf, MemoryModel((flash, NO_WAIT.regions[1]), art(5).caches))
    assert cycles_of(only_data, "main") == cycles_of(run(elf), "main") + 3 * 5


@needs_tools
def test_late_misses_of_a_block_of_pairs_do_not_hold_up_the_next_one(tmp_path: Path) -> None:
    # 128 instructions in 64 cycles, a line of data missing at both ends: the array is free again when the next turn
    # begins. A traced run times each instruction of each turn.
    turn = "1: ldr r2, [r0]\n" + "add.w r3, r3, #1\nadd.w r4, r4, #1\n" * 63 + "ldr r2, [r0, #16]\nadds r0, #32\n"
    body = f"ldr r0, =table\nmovs r1, #32\n{turn}subs r1, #1\nbne 1b\nbx lr"
    elf = link(tmp_path, function("main", body) + ".balign 16\ntable: .space 1024")
    core, memory = load_core("cortex-m7"), art(9)
    untraced = by_name(run(elf, memory, core=core), "main")["cycles"]
    trace = TraceRange(0, 1 << 20, tmp_path / "trace.txt")
    assert untraced == pytest.approx(by_name(run(elf, memory, core=core, trace=trace), "main")["cycles"], rel=0.02)


@needs_tools
def test_loads_from_two_memories_do_not_overlap(tmp_path: Path) -> None:
    setup = "ldr r0, =table\nldr r1, =0x20001000\nmovs r2, #0\n"
    one = link(
        tmp_path, function("main", setup + "ldr r2, [r1]\nldr r3, [r1, #4]\nbx lr") + ".balign 4\ntable: .word 0"
    )
    same = cycles_of(run(one), "main")
    two = link(
        tmp_path, function("main", setup + "ldr r2, [r0]\nldr r3, [r1, #4]\nbx lr") + ".balign 4\ntable: .word 0"
    )
    assert cycles_of(run(two), "main") == same + 1


@needs_tools
@pytest.mark.parametrize(
    ("load", "waits"),
    [
        ("ldr r0, [r1]", 1),
        ("vldrb.u8 q0, [r1]", 2),
        ("vldrb.u8 q0, [r1, #3]", 3),
        ("vldrw.u32 q0, [r1]", 2),
        ("vldrb.s32 q0, [r1]", 1),
        ("vldrb.s16 q0, [r1, #1]", 2),
        ("vldrb.u8 q0, [r1]; vldrb.u8 q1, [r1]", 4),
        ("vldrw.u32 q0, [r1, q1]", 4),
    ],
)
def test_a_vector_waits_for_every_two_words_and_a_gather_for_every_element(
    load: str, waits: int, tmp_path: Path
) -> None:
    # The vector unit is switched on first (CPACR); offsets of a gather are 0.
    body = "ldr r0, =0xE000ED88\nmov r2, #0xF00000\nstr r2, [r0]\ndsb\nisb\nvmov.i32 q1, #0\nldr r1, =0x20001000\n"
    elf = link(tmp_path, function("main", f"{body}{load}\nbx lr"), "cortex-m55")
    slow = dataclasses.replace(NO_WAIT.regions[1], data_wait=1)
    cycles = [
        cycles_of(run(elf, MemoryModel((NO_WAIT.regions[0], ram)), "mps3-an547", core=load_core("cortex-m55")), "main")
        for ram in (NO_WAIT.regions[1], slow)
    ]
    assert cycles[1] - cycles[0] == waits


@needs_tools
def test_an_idle_memory_is_granted_before_the_first_load(tmp_path: Path) -> None:
    # A lone load, two in a row, one behind a store, one instruction of three words; then a load from another memory.
    body = "ldr r1, =0x20001000\nldr r2, =0x21000000\n"
    body += "ldr r3, [r1]\nmovs r0, #1\nldr r3, [r1]\nldr r4, [r1, #4]\nmovs r0, #1\n"
    body += "str r0, [r1]\nldr r3, [r1]\nmovs r0, #1\nldm r1, {r3, r4, r5}\nmovs r0, #1\nldr r3, [r2]\nbx lr"
    elf = link(tmp_path, function("main", body))
    regions = (Region("flash", 0, 1 << 20, flash=True), Region("ram", 0x2000_0000, 1 << 20))
    other = Region("psram", 0x2100_0000, 1 << 20)
    slow = dataclasses.replace(regions[1], grant_cycles=1)
    plain = by_name(run(elf, MemoryModel((*regions, other))), "main")["cycles"]
    granted = by_name(run(elf, MemoryModel((regions[0], slow, other))), "main")["cycles"]
    assert granted - plain == 3


@needs_tools
def test_encodings_without_a_row_are_reported(tmp_path: Path) -> None:
    core = load_core("cortex-m4")
    poorer = dataclasses.replace(core, classes={k: v for k, v in core.classes.items() if k != "divide"})
    elf = link(tmp_path, function("main", "movs r0, #9\nmovs r1, #3\nudiv r0, r0, r1\nbx lr"))
    report = run(elf, core=poorer)
    assert [(u["encoding"], u["runs"]) for u in report["unknown"]] == [("fbb0f0f1", 1)]
    assert run(elf)["unknown"] == []
    assert run(elf)["divides"] == 1


@needs_tools
def test_a_trace_holds_the_instructions_of_its_range(tmp_path: Path) -> None:
    elf = link(tmp_path, function("main", "nop\nnop\nbx lr"))
    start = next(s.address for s in read_sizes(elf).symbols if s.name == "main") & ~1
    trace = TraceRange(start, start + 6, tmp_path / "trace.txt")
    run(elf, trace=trace)
    lines = [line.split() for line in trace.path.read_text().splitlines()]
    assert [int(address, 16) for _, address, _ in lines] == [start, start + 2, start + 4]
    assert [name for _, _, name in lines] == ["nop", "nop", "branch_register"]
    assert [int(b[0]) - int(a[0]) for a, b in itertools.pairwise(lines)] == [1, 1]


@needs_tools
def test_stack_range_is_the_free_ram_below_the_initial_stack_pointer(tmp_path: Path) -> None:
    elf = link(tmp_path, function("main", "bx lr") + ".bss\n.space 64")
    low, high = stack_range(elf)
    assert high == 0x2000_8000
    assert low == max(s.address + s.bytes for s in read_sizes(elf).symbols if s.section == ".bss") or low > 0


def test_the_plugin_is_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = plugin_path()
    made = first.stat().st_mtime_ns
    assert first.is_relative_to(tmp_path)
    assert plugin_path().stat().st_mtime_ns == made


@pytest.mark.parametrize("core", list_cores())
def test_tables_cite_a_source_for_every_row(core: str) -> None:
    table = load_core(core)
    assert all(rule.source for rule in table.rules.values())
    assert all(row.source for row in table.classes.values())


@pytest.mark.parametrize("core", list_cores())
def test_tables_use_names_that_the_plugin_knows(core: str) -> None:
    plugin = Path(plugin_path.__code__.co_filename).parent / "plugin"
    rules, classes = (plugin / "rules.def").read_text(), (plugin / "classes.def").read_text()
    table = load_core(core)
    assert [name for name in table.rules if f'"{name}"' not in rules] == []
    assert [name for name in table.classes if f'"{name}"' not in classes] == []


def test_a_malformed_table_is_refused() -> None:
    with pytest.raises(ThimbleError, match=r"x\.toml: malformed timing table.*cycels"):
        parse_core(
            {"core": "c", "pipe": "single", "timing": "model", "rules": {}, "classes": {"alu": {"cycels": 1}}}, "x.toml"
        )


def test_an_unknown_core_names_those_that_there_are() -> None:
    with pytest.raises(ThimbleError, match="cortex-m4"):
        load_core("cortex-a9")


def test_float_cores_use_the_table_of_their_core() -> None:
    assert load_core("cortex-m4f").core == "cortex-m4"


def test_a_request_that_the_plugin_cannot_hold_is_refused() -> None:
    core = dataclasses.replace(load_core("cortex-m4"), classes={"alu": InstructionRow("here")})
    with pytest.raises(ThimbleError, match="cannot be timed"):
        TimingRequest(core, MemoryModel((), (Cache(16, 16, 64, 3),))).config_text()


@pytest.mark.parametrize("name", [n for n in list_targets() if load_target(n).simulator.program == "qemu-system-arm"])
def test_every_arm_chip_has_memories_that_the_plugin_can_hold(name: str) -> None:
    target = load_target(name)
    model = memory_model(target)
    assert TimingRequest(load_core(target.core), model).config_text()
    main = next(r for r in model.regions if r.base <= target.simulator.ram_origin < r.base + r.size)
    assert main.name == target.ram.name.split("+")[0]
