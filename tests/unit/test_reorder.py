"""Reordered listings: random blocks, executed, do the same, and kernels have nothing that is not known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.bench.cost_networks import network
from tests.bench.cost_samples import ROUNDING, load_graph
from thimble.codegen.armv7em.assembly import Listing
from thimble.codegen.armv7em.instructions import parse
from thimble.codegen.armv7em.pipeline import pipeline_of
from thimble.codegen.armv7em.reorder import cycles_of, dependences, reordered, reordered_lines
from thimble.codegen.kernels import KernelSettings, choose_kernels
from thimble.targets.model import load_target

Rng = np.random.Generator

REGISTERS = [f"r{number}" for number in range(13)] + ["lr"]
BASES = REGISTERS[:3]
CORES = ("cortex-m7", "cortex-m33")


@dataclass(slots=True)
class Machine:
    """Registers, flags and bytes; what an instruction computes is a digest of its operands, so that order matters."""

    values: dict[str, int]
    memory: dict[int, int] = field(default_factory=dict)

    def load(self, address: int, count: int) -> int:
        return hash(tuple(self.memory.get(address + i, address + i) for i in range(count)))

    def store(self, address: int, count: int, value: int) -> None:
        self.memory.update((address + i, hash((value, i))) for i in range(count))


@dataclass(frozen=True, slots=True)
class Op:
    """An instruction as text, and what it does."""

    text: str
    run: Callable[[Machine], None]


def data_op(rng: Rng) -> Op:
    """Data processing of some shape, by operands that are drawn."""
    to, a, b, c = (str(register) for register in rng.choice(REGISTERS[3:], 4))
    shapes = {
        "add": (f"add {to}, {a}, {b}", to, (a, b), False),
        "adds": (f"adds {to}, #4", to, (to,), True),
        "shifted": (f"sub {to}, {a}, {b}, lsl #2", to, (a, b), False),
        "mov": (f"mov.w {to}, {a}", to, (a,), False),
        "movt": (f"movt {to}, #4", to, (to,), False),
        "cmp": (f"cmp {a}, {b}", "", (a, b), True),
        "smlad": (f"smlad {to}, {a}, {b}, {c}", to, (a, b, c), False),
        "smmul": (f"smmul {to}, {a}, {b}", to, (a, b), False),
        "ssat": (f"ssat {to}, #8, {a}, asr #10", to, (a,), False),
        "sxtb16": (f"sxtb16 {to}, {a}, ror #8", to, (a,), False),
        "bfi": (f"bfi {to}, {a}, #8, #8", to, (to, a), False),
        "bfc": (f"bfc {to}, #0, #16", to, (to,), False),
        "vmov": (f"vmov s{rng.integers(4)}, {a}", "", (a,), False),
    }
    text, written, read, sets = shapes[str(rng.choice(list(shapes)))]
    written = text.split()[1].rstrip(",") if text.startswith("vmov") else written

    def run(machine: Machine) -> None:
        result = hash((text.split()[0], *(machine.values[register] for register in read)))
        if written:
            machine.values[written] = result
        if sets:
            machine.values["flags"] = hash(("flags", result))

    return Op(text, run)


def memory_op(rng: Rng) -> Op:
    """A load or store of a word, halfword or byte, with or without a base that moves on; or a multiple one."""
    base = str(rng.choice([*BASES, "sp"]))
    held = [str(register) for register in rng.choice(REGISTERS[3:], 3, replace=False)]
    offset, moves = int(rng.integers(0, 4)) * 4, int(rng.integers(0, 3)) if base != "sp" else 0
    name, count = [("ldr", 4), ("ldrh", 2), ("ldrsb", 1), ("str.w", 4), ("strh", 2), ("strb", 1)][rng.integers(6)]
    several = base != "sp" and rng.random() < 0.2
    if several:
        held.sort(key=REGISTERS.index)
        name, count, offset = ("ldm", 4, 0) if rng.random() < 0.5 else ("stm", 4, 0)
        text = f"{name} {base}{'!' * (moves > 0)}, {{{', '.join(held)}}}"
        step = 12
    else:
        held = held[:1]
        place = [f"[{base}, #{offset}]", f"[{base}, #{offset + 4}]!", f"[{base}], #{offset + 4}"][moves]
        text, step = f"{name} {held[0]}, {place}", offset + 4

    def run(machine: Machine) -> None:
        start = machine.values[base]
        at = start + (step if moves == 1 and not several else 0 if moves else offset)
        for index, register in enumerate(held):
            if name.startswith("ld"):
                machine.values[register] = machine.load(at + 4 * index, count)
            else:
                machine.store(at + 4 * index, count, machine.values[register])
        if moves:
            machine.values[base] = start + step

    return Op(text, run)


def executed(ops: list[Op], seed: int) -> tuple[dict[str, int], dict[int, int]]:
    """Registers and memory behind a block; bases lie close together, the stack far from them."""
    rng = np.random.default_rng(seed)
    values = {register: int(rng.integers(1 << 30)) for register in [*REGISTERS, *(f"s{i}" for i in range(4)), "flags"]}
    values |= {base: 1000 + 4 * int(rng.integers(0, 6)) for base in BASES} | {"sp": 1 << 40}
    machine = Machine(values)
    for op in ops:
        op.run(machine)
    return machine.values, machine.memory


@pytest.mark.parametrize("core", CORES)
def test_random_blocks_do_the_same(core: str) -> None:
    pipeline = pipeline_of(core)
    assert pipeline is not None
    moved = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        ops = [memory_op(rng) if rng.random() < 0.4 else data_op(rng) for _ in range(int(rng.integers(2, 40)))]
        lines = [f'    "    {op.text}\\n" /* {index} */' for index, op in enumerate(ops)]
        order = [int(line.split()[-2]) for line in reordered_lines(lines, pipeline)]
        assert sorted(order) == list(range(len(ops)))
        moved += order != sorted(order)
        for start in range(3):
            assert executed([ops[i] for i in order], start) == executed(ops, start), [ops[i].text for i in order]
    assert moved > 100


@pytest.mark.parametrize("fence", [".balign 4", ".Lx_turn:", "    bne .Lx_turn", "    bl f", "    pop {r4, pc}"])
def test_nothing_crosses_the_ends_of_a_block(fence: str) -> None:
    pipeline = pipeline_of("cortex-m7")
    assert pipeline is not None
    codes = ["    smlad r6, r4, r2, r6", "    smlad r7, r4, r2, r7", fence, "    ldr r8, [r0]", "    ldr r9, [r0, #4]"]
    made = reordered_lines([f'    "{code}\\n"' for code in codes], pipeline)
    assert made[2] == f'    "{fence}\\n"'


def test_a_frame_whose_address_is_taken_may_be_reached_otherwise() -> None:
    pipeline = pipeline_of("cortex-m7")
    assert pipeline is not None
    block = ["    smmul r4, r4, r4", "    str r4, [sp, #8]", "    ldr r5, [r6]", "    smlad r7, r5, r5, r7"]
    fastest = reordered_lines([f'    "{code}\\n"' for code in block], pipeline)
    assert fastest.index('    "    ldr r5, [r6]\\n"') < 2
    taken = reordered_lines([f'    "{code}\\n"' for code in ["    add r6, sp, #8", "    bl f", *block]], pipeline)
    assert taken[2:] == [f'    "{code}\\n"' for code in block]


@pytest.mark.parametrize("output_apart", [True, False])
@pytest.mark.parametrize(("store", "narrow"), [("strb", True), ("strh", True), ("str", False)])
def test_loads_pass_stores_of_bytes_where_outputs_lie_apart(store: str, narrow: bool, output_apart: bool) -> None:
    pipeline = pipeline_of("cortex-m7")
    assert pipeline is not None
    a = Listing("thimble_f", output_apart=output_apart)
    a.op("smmul", "r4", "r4", "r4")
    a.op(store, "r4", "[r3]")
    a.op("ldr", "r5", "[r6]")
    a.op("smlad", "r7", "r5", "r5", "r7")
    made = "\n".join(reordered_lines(a.text.split("\n"), pipeline))
    assert (made.index("    ldr ") < made.index(f"    {store} ")) == (narrow and output_apart)


def test_products_stand_beside_loads() -> None:
    pipeline = pipeline_of("cortex-m7")
    assert pipeline is not None
    loads = [f"    ldr r{4 + i % 2}, [r0, #{4 * i}]" for i in range(8)]
    products = [f"    smlad r{6 + i}, r{4 + i % 2}, r2, r{6 + i}" for i in range(8)] * 2
    codes = [code for at in range(0, 8, 2) for code in (*loads[at : at + 2], *products[2 * at : 2 * at + 4])]
    lines = [f'    "{code}\\n"' for code in codes]
    cycles = []
    for order in (lines, reordered_lines(lines, pipeline)):
        block = [found for line in order if (found := parse(line.strip()[1:-3], line)) is not None]
        cycles.append(cycles_of(block, range(len(block)), dependences(block, pipeline), pipeline))
    assert cycles[1] <= 19 < cycles[0]  # 16 products, and the first loads before them


def kernel_lines(chip: str) -> Iterator[str]:
    """All code of the generated kernels of some networks."""
    target = load_target(chip)
    for number in range(4):
        graph = load_graph(network(number), f"random {number}")
        for compact in (False, True):
            settings = KernelSettings(winograd_bytes=1 << 20, compact=compact)
            for site in choose_kernels(graph, target, settings).sites:
                for call in site.lower(ROUNDING):
                    for _, text in call.source.files if call.source else ():
                        for body in re.findall(r"^__asm__\(\n(.*?)\);$", text, re.MULTILINE | re.DOTALL):
                            yield from re.findall(r'^    "    (.*)\\n"', body, re.MULTILINE)


def test_kernels_have_nothing_that_is_not_known() -> None:
    stays = re.compile(
        r"\.|b(l|x|eq|ne|lt|ls|lo|hi|gt|cc)? |it+ |(mov|add|sub)(lt|gt|hi|ne|eq) |push|pop|(add|sub) sp, |adr"
    )
    unknown = {code for code in kernel_lines("stm32h743zi") if parse(code, code) is None and not stays.match(code)}
    assert not unknown


def test_kernels_for_the_cortex_m4_stay_as_they_are() -> None:
    assert pipeline_of("cortex-m4f") is None
    assert pipeline_of("cortex-m4") is None
    site = next(
        s for s in choose_kernels(load_graph(network(0), "random"), load_target("stm32l4r5zi"), KernelSettings()).sites
    )
    (call,) = site.lower(ROUNDING)
    assert call.source is not None
    assert reordered(call, None) is call
    assert reordered(call, pipeline_of("cortex-m7")) != call
