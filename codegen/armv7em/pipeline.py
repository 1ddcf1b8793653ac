"""What the order of instructions is made for: how long results take, and what a core begins in one cycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from thimble.codegen.armv7em.instructions import Instruction
from thimble.targets.sim.arm_timing.tables import InstructionRow, load_core

SEVERAL = ("any", "alu", "memory")
"""Units of which a core that begins two instructions has two, or that are none."""

ALONE = "alone"
"""The unit of instructions that are begun by themselves."""

LEAST_LOAD_LATENCY = 2
"""Cycles from a load to the use of its word, even where the table says less: the least that holds behind every unit."""


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """An in-order pipeline with a scoreboard, by the timing table of its core.

    `width`: instructions begun in a cycle. `rows`: cycles, latency and unit by class of instructions.
    `multiple_words`: words a cycle of a multiple load or store. `address_latency`: how much later a result may be a
    part of an address; `narrow_load_latency`: how much later a byte or halfword is there.
    """

    core: str
    width: int
    rows: Mapping[str, InstructionRow]
    multiple_words: int
    address_latency: int
    narrow_load_latency: int

    def unit(self, instruction: Instruction) -> str:
        """The unit that an instruction takes."""
        return self.rows[instruction.kind].unit

    def cycles(self, instruction: Instruction) -> int:
        """Cycles for which an instruction holds its unit."""
        row = self.rows[instruction.kind]
        return max(row.cycles + row.per_register * -(-instruction.words // self.multiple_words), 1)

    def latency(self, writer: Instruction, reader: Instruction, register: str) -> int:
        """Cycles from the beginning of `writer` to the earliest of `reader`, which uses its result."""
        if register in writer.moves or register == "flags":
            return 1
        row = self.rows[writer.kind]
        cycles = max(row.latency, LEAST_LOAD_LATENCY) if writer.loads else row.latency
        cycles = max(cycles, self.cycles(writer)) + (self.narrow_load_latency if writer.is_narrow_load else 0)
        if register in reader.accumulates:
            cycles -= 1
        if register in reader.addresses and writer.kind != "alu":
            cycles += self.address_latency
        return max(cycles, 1)


@cache
def pipeline_of(core: str) -> Pipeline | None:
    """The pipeline of a core by its name; None where instructions stay in the order in which kernels are written.

    That is the order for the Cortex-M4, whose loads are faster side by side.
    """
    table = load_core(core)
    if table.pipe != "dual":
        return None
    rule = {name: found.value for name, found in table.rules.items()}
    pairs = rule.get("issue_width", 1) > 1 and not rule.get("dual_narrow_only", 0)
    return Pipeline(
        core=table.core,
        width=rule["issue_width"] if pairs else 1,
        rows=table.classes,
        multiple_words=rule.get("multiple_words", 1) or 1,
        address_latency=rule.get("address_latency", 0),
        narrow_load_latency=rule.get("narrow_load_latency", 0),
    )
