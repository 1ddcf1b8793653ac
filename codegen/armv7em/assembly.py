"""A listing of Thumb-2 assembly as text for a file-scope __asm__ of a C file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_OFFSET = 4095
"""Largest offset of a load or store, and largest immediate of an addition."""

MAX_MOVE = 255
"""How far a load may move its base on."""

OUTPUT_APART = "    /* Bytes and halfwords are stored where nothing is loaded from. */"
"""The line of a listing that says so, for who takes its text apart (reorder.py)."""

FPU_REGISTERS = 16
"""s0 to s15 are the caller's to save, so that a function may use them freely."""


@dataclass(slots=True)
class Listing:
    """The body of one function, line by line. `name` is its C symbol; local labels are made unique with it.

    `output_apart`: all bytes and halfwords that the function stores are output, and it loads from scratch, tables and
    its frame alone, beside which no output lies (docs/kernels.md, output over input). Its loads may pass those stores.
    """

    name: str
    output_apart: bool = False
    _lines: list[str] = field(default_factory=list)

    def op(self, mnemonic: str, *operands: object, note: str = "") -> None:
        """One instruction; `note` says why, as a comment behind it."""
        self._add(f"    {mnemonic} {', '.join(map(str, operands))}".rstrip(), note)

    def label(self, name: str, note: str = "") -> None:
        """A place to branch to."""
        self._add(f"{self.local(name)}:", note)

    def branch(self, mnemonic: str, name: str, note: str = "") -> None:
        """A branch to a label of this function."""
        self.op(mnemonic, self.local(name), note=note)

    def note(self, text: str) -> None:
        """A comment on a line of its own."""
        self._lines.append(f"    /* {text} */")

    def local(self, name: str) -> str:
        """The label `name` as the assembler knows it."""
        return f".L{self.name}_{name}"

    @property
    def text(self) -> str:
        """The whole file-scope __asm__, in a section of its own, so that the linker can drop it."""
        head = [
            ".syntax unified",
            f'.section .text.{self.name},\\"ax\\",%progbits',
            ".balign 16",
            f".global {self.name}",
            f".type {self.name},%function",
            ".thumb_func",
            f"{self.name}:",
        ]
        tail = [f".size {self.name}, .-{self.name}", ".text"]
        promise = [OUTPUT_APART] if self.output_apart else []
        lines = [_quoted(line) for line in head] + promise + self._lines + [_quoted(line) for line in tail]
        return "__asm__(\n" + "\n".join(lines) + ");"

    def _add(self, line: str, note: str) -> None:
        self._lines.append(_quoted(line) + (f" /* {note} */" if note else ""))


def _quoted(line: str) -> str:
    return f'    "{line}\\n"'


def add_constant(a: Listing, to: str, register: str, amount: int, free: str = "") -> None:
    """to = register + amount, below 65,536; needs a `free` register where the two are one and the amount is large."""
    if amount <= MAX_OFFSET:
        a.op("add", to, register, f"#{amount}")
        return
    holder = free if to == register else to
    a.op("movw", holder, f"#{amount}")
    a.op("add", to, register, holder)


def add_signed(a: Listing, to: str, register: str, amount: int, free: str) -> None:
    """to = register + amount, of a size below 65,536 and maybe nothing; a large one goes through a `free` register."""
    op = "sub" if amount < 0 else "add"
    if abs(amount) > MAX_OFFSET:
        a.op("movw", free, f"#{abs(amount)}")
        a.op(op, to, register, free)
    elif amount or to != register:
        a.op(op, to, register, f"#{abs(amount)}")


def registers(names: Sequence[str]) -> str:
    """A register list as LDM, STM, PUSH and POP take it."""
    return "{" + ", ".join(names) + "}"


@dataclass(frozen=True, slots=True)
class Frame:
    """Variables for which a function has no core register: on its stack, or, in one cycle, in FPU registers.

    `names` are the variables in order; the first ones are the fields of the job that the function gets, words all.
    With an FPU the first FPU_REGISTERS of `fast` are there.
    """

    names: tuple[str, ...]
    fast: tuple[str, ...]
    has_fpu: bool

    @property
    def bytes(self) -> int:
        """Stack that the frame takes, so that with 9 registers pushed the stack stays aligned to 8."""
        return 4 * (len(self.names) + (len(self.names) + 1) % 2)

    def enter(self, a: Listing, more_bytes: int = 0) -> None:
        """Save registers, and make room for the frame and, behind it, more."""
        a.op("push", registers(["r4-r11", "lr"]))
        a.op("sub", "sp", "sp", f"#{self.bytes + more_bytes}")

    def leave(self, a: Listing, more_bytes: int = 0) -> None:
        """Undo what `enter` or `begin` did, and return."""
        a.op("add", "sp", "sp", f"#{self.bytes + more_bytes}")
        a.op("pop", registers(["r4-r11", "pc"]))

    def begin(self, a: Listing, job: Sequence[str]) -> None:
        """Save registers, make room, and keep the fields of the job at r0; they are in r1 and on as well."""
        a.op("push", registers(["r4-r11", "lr"]))
        a.op("ldm", "r0", f"{{r1-r{len(job)}}}", note="the job's fields")
        a.op("sub", "sp", "sp", f"#{self.bytes}")
        for register, name in enumerate(job, start=1):
            self.store(a, f"r{register}", name)

    def load(self, a: Listing, register: str, name: str, note: str = "") -> None:
        """Fetch a variable."""
        note = f"{name}: {note}" if note else name
        if self._fast(name):
            a.op("vmov", register, self._fast(name), note=note)
        else:
            a.op("ldr", register, f"[sp, #{4 * self.names.index(name)}]", note=note)

    def load_all(self, a: Listing, variables: Sequence[tuple[str, str]]) -> None:
        """Fetch variables, each into the register before its name."""
        for register, name in variables:
            self.load(a, register, name)

    def store(self, a: Listing, register: str, name: str) -> None:
        """Keep a variable."""
        if self._fast(name):
            a.op("vmov", self._fast(name), register, note=name)
        else:
            a.op("str", register, f"[sp, #{4 * self.names.index(name)}]", note=name)

    def _fast(self, name: str) -> str:
        names = self.fast[:FPU_REGISTERS]
        return f"s{names.index(name)}" if self.has_fpu and name in names else ""
