"""Instructions in the order that a core with a scoreboard is fastest with.

Kernels are written for the Cortex-M4: loads side by side, then the products. A core that begins two instructions in a
cycle is fastest where each product stands beside a load. Within each basic block of a listing the order is made anew by
list scheduling: an instruction is begun as soon as what it depends on is there, the most urgent one first. Registers
stay as they are, so that these dependences are all there is: results, flags, registers that are written again, and
memory. Loads may change places; a store and another access only where both are from one base that stays as it is
between them and do not meet, or where one is to the frame of a function that never makes an address from the stack
pointer, and the other is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from thimble.codegen.armv7em.assembly import OUTPUT_APART
from thimble.codegen.armv7em.instructions import Instruction, frame_address_is_taken, parse
from thimble.codegen.armv7em.pipeline import ALONE, SEVERAL, Pipeline
from thimble.compiler.ir.operator import GeneratedKernel, KernelCall

_ASSEMBLY = re.compile(r"^__asm__\(\n(.*?)\);$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r'^    "(.*)\\n"(?: /\*.*\*/)?$')

Dependences = Sequence[dict[int, int]]
"""For each instruction of a block the earlier ones that it must follow, and by how many cycles at least."""


def reordered(call: KernelCall, pipeline: Pipeline | None) -> KernelCall:
    """A call whose generated kernel is in the order of a pipeline; as it is where there is none."""
    if pipeline is None or call.source is None:
        return call
    return replace(call, source=_of_source(call.source, pipeline))


@lru_cache(maxsize=256)
def _of_source(source: GeneratedKernel, pipeline: Pipeline) -> GeneratedKernel:
    def in_order(found: re.Match[str]) -> str:
        lines = reordered_lines(found[1].split("\n"), pipeline)
        return f"/* In the order of the {pipeline.core}; cycles beside it are the Cortex-M4's. */\n__asm__(\n" + (
            "\n".join(lines) + ");"
        )

    files = tuple((name, _ASSEMBLY.sub(in_order, text)) for name, text in source.files)
    return replace(source, files=files)


def reordered_lines(lines: Sequence[str], pipeline: Pipeline) -> list[str]:
    """The lines of a listing, as they stand in C, with each basic block in a new order."""
    codes = [found[1] if (found := _LINE.match(line)) else "" for line in lines]
    memory = Memory(not any(map(frame_address_is_taken, codes)), OUTPUT_APART in lines)
    made: list[str] = []
    block: list[Instruction] = []
    for line, code in zip(lines, codes, strict=True):
        instruction = parse(code, line)
        if instruction is not None:
            block.append(instruction)
            continue
        made += (moved.line for moved in schedule(block, pipeline, memory))
        made.append(line)
        block = []
    return made + [moved.line for moved in schedule(block, pipeline, memory)]


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of the memory that a function accesses.

    `private_frame`: what lies at the stack pointer is reached by no other register. `output_apart`: bytes and halfwords
    are stored where nothing is loaded from.
    """

    private_frame: bool = False
    output_apart: bool = False

    def may_meet(self, first: Instruction, second: Instruction, one_base: bool) -> bool:
        """Whether two accesses, one of them a store, must keep their order; `one_base`: a base that both have has one
        value for both."""
        a, b = first.place, second.place
        if one_base and a is not None and b is not None and a.base == b.base:
            return a.offset < b.offset + b.bytes and b.offset < a.offset + a.bytes
        if self.private_frame and _in_frame(first) != _in_frame(second):
            return False
        return not (self.output_apart and any(map(_is_narrow_store, (first, second))) and first.loads != second.loads)


def _in_frame(instruction: Instruction) -> bool:
    return "sp" in instruction.addresses


def _is_narrow_store(instruction: Instruction) -> bool:
    return instruction.stores and instruction.place is not None and instruction.place.bytes < 4


def schedule(block: Sequence[Instruction], pipeline: Pipeline, memory: Memory = Memory()) -> list[Instruction]:
    """A basic block in the order of the fewest cycles of those that were tried; its own where none takes fewer."""
    if len(block) < 2:
        return list(block)
    before = dependences(block, pipeline, memory)
    urgency = _path_cycles(before)
    orders: list[Sequence[int]] = [range(len(block))]
    ranks: tuple[Callable[[int], tuple[int, ...]], ...] = (lambda i: (i,), lambda i: (-urgency[i], i))
    orders += (_list_schedule(block, before, pipeline, rank) for rank in ranks)
    best = min(orders, key=lambda order: cycles_of(block, order, before, pipeline))
    return [block[i] for i in best]


def dependences(block: Sequence[Instruction], pipeline: Pipeline, memory: Memory = Memory()) -> Dependences:
    """What each instruction of a block must follow."""
    before: list[dict[int, int]] = [{} for _ in block]
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = {}
    versions: dict[str, int] = {}
    loaded: list[tuple[int, int]] = []
    stored: list[tuple[int, int]] = []

    def follows(later: int, earlier: int, cycles: int) -> None:
        before[later][earlier] = max(before[later].get(earlier, 0), cycles)

    for i, instruction in enumerate(block):
        for register in instruction.reads:
            if register in writer:
                follows(i, writer[register], pipeline.latency(block[writer[register]], instruction, register))
        for register in instruction.writes:
            for reader in readers.get(register, ()):
                follows(i, reader, 0)
            if register in writer:
                follows(i, writer[register], 1)
        if instruction.loads or instruction.stores:
            version = versions.get(instruction.place.base, -1) if instruction.place else -1
            for earlier, its_version in stored if instruction.loads else [*stored, *loaded]:
                if memory.may_meet(block[earlier], instruction, version == its_version):
                    follows(i, earlier, 0 if block[earlier].loads else 1)
            (loaded if instruction.loads else stored).append((i, version))
        for register in instruction.writes:
            writer[register], readers[register], versions[register] = i, [], i
        for register in instruction.reads - instruction.writes:
            readers.setdefault(register, []).append(i)
    return before


def _path_cycles(before: Dependences) -> list[int]:
    """For each instruction the cycles from it to the end of the block along the longest chain of dependences."""
    paths = [1] * len(before)
    for i in range(len(before) - 1, -1, -1):
        for earlier, cycles in before[i].items():
            paths[earlier] = max(paths[earlier], paths[i] + cycles)
    return paths


@dataclass(slots=True)
class _Board:
    """Where a pipeline stands: the cycle, what was begun in it, and until when units are taken."""

    pipeline: Pipeline
    cycle: int = 0
    begun: int = 0
    alone_until: int = 0
    taken: dict[str, int] = field(default_factory=dict)

    def may_begin(self, instruction: Instruction) -> bool:
        """Whether there is room for an instruction in this cycle."""
        unit = self.pipeline.unit(instruction)
        free = self.taken.get(unit, 0) <= self.cycle and self.alone_until <= self.cycle
        return free and self.begun < (1 if unit == ALONE else self.pipeline.width)

    def begin(self, instruction: Instruction) -> None:
        """Begin an instruction in this cycle."""
        unit, until = self.pipeline.unit(instruction), self.cycle + self.pipeline.cycles(instruction)
        self.begun = self.pipeline.width if unit == ALONE else self.begun + 1
        if unit == ALONE:
            self.alone_until = until
        elif unit not in SEVERAL:
            self.taken[unit] = until

    def go_on(self) -> None:
        """To the next cycle."""
        self.cycle, self.begun = self.cycle + 1, 0


def _list_schedule(
    block: Sequence[Instruction], before: Dependences, pipeline: Pipeline, rank: Callable[[int], tuple[int, ...]]
) -> list[int]:
    """An order in which each cycle begins the instructions of the lowest rank among those that can be begun."""
    after = _followers(before)
    missing = [len(found) for found in before]
    earliest = [0] * len(block)
    waiting = {i for i, count in enumerate(missing) if count == 0}
    board = _Board(pipeline)
    order: list[int] = []
    while len(order) < len(block):
        able = (i for i in waiting if earliest[i] <= board.cycle and board.may_begin(block[i]))
        chosen = min(able, key=rank, default=None)
        if chosen is None:
            board.go_on()
            continue
        board.begin(block[chosen])
        order.append(chosen)
        waiting.remove(chosen)
        for later, cycles in after[chosen]:
            earliest[later] = max(earliest[later], board.cycle + cycles)
            missing[later] -= 1
            if missing[later] == 0:
                waiting.add(later)
    return order


def _followers(before: Dependences) -> list[list[tuple[int, int]]]:
    after: list[list[tuple[int, int]]] = [[] for _ in before]
    for later, found in enumerate(before):
        for earlier, cycles in found.items():
            after[earlier].append((later, cycles))
    return after


def cycles_of(block: Sequence[Instruction], order: Iterable[int], before: Dependences, pipeline: Pipeline) -> int:
    """Cycles of a block in an order, until all results are there that another instruction of it uses."""
    board, begun = _Board(pipeline), dict[int, int]()
    for i in order:
        earliest = max((begun[earlier] + cycles for earlier, cycles in before[i].items()), default=0)
        while board.cycle < earliest or not board.may_begin(block[i]):
            board.go_on()
        board.begin(block[i])
        begun[i] = board.cycle
    return max(board.cycle + 1, board.alone_until)
