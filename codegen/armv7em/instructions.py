"""What an instruction of a listing reads and writes: enough to know which others it must keep its place to."""

from __future__ import annotations

import re
from dataclasses import dataclass

FLAGS = "flags"

_SUFFIX = re.compile(r"\.[wn]$")
_REGISTER = re.compile(r"\b(?:r\d+|s\d+|sp|lr)\b")
_RANGE = re.compile(r"\b([rs])(\d+)-\1(\d+)\b")
_SHIFTED = re.compile(r"\b(?:lsl|lsr|asr|ror) #\d+")
_STACK = re.compile(r"\bsp\b")
_PLACE = re.compile(r"^\[(\w+)(?:, #(-?\d+))?\]$")

_CLASSES = {
    "alu": ("add", "sub", "rsb", "and", "orr", "eor", "bic", "mov", "mvn", "movw", "movt"),
    "shift": ("lsl", "lsr", "asr", "ror"),
    "compare": ("cmp", "cmn", "tst"),
    "extend": ("sxtb16", "uxtb16", "sxtb", "uxtb", "sxth", "uxth", "sxtab16"),
    "reverse": ("rev", "rev16"),
    "bitfield": ("bfi", "bfc", "sbfx", "ubfx"),
    "saturate": ("ssat", "usat"),
    "simd": ("uadd8", "uadd16", "uqadd8", "uqadd16", "pkhbt", "pkhtb"),
    "mul": ("mul",),
    "mla": ("mla",),
    "dsp_mul": ("smuad", "smmul", "smulbb", "smultb", "smulbt", "smultt"),
    "dsp_mac": ("smlad", "smmla", "smlabb", "smlatb", "smlabt", "smlatt", "smlawb", "smlawt"),
    "load": ("ldr", "ldrb", "ldrh", "ldrsb", "ldrsh"),
    "load_double": ("ldrd",),
    "load_multiple": ("ldm",),
    "store": ("str", "strb", "strh"),
    "store_multiple": ("stm",),
    "fp_core": ("vmov",),
    "fp_load_multiple": ("vldmia",),
}
_CLASS_OF = {mnemonic: name for name, mnemonics in _CLASSES.items() for mnemonic in mnemonics}
_SETS_FLAGS = {f"{mnemonic}s": mnemonic for mnemonic in (*_CLASSES["alu"][:8], *_CLASSES["shift"])}
_LOADS = ("load", "load_double", "load_multiple", "fp_load_multiple")
_STORES = ("store", "store_multiple")
_MEMORY_BYTES = {"ldr": 4, "ldrb": 1, "ldrh": 2, "ldrsb": 1, "ldrsh": 2, "str": 4, "strb": 1, "strh": 2}
_CHANGES = ("bfi", "bfc", "movt")
"""They keep a part of their first operand."""


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes of memory that an instruction accesses: from `offset` behind what register `base` holds before it."""

    base: str
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. `kind` is its class in the timing tables of cores (targets/sim/arm_timing).

    Registers and FLAGS: `reads`, of them those read only to be added to a product (`accumulates`) and those that an
    address is made from (`addresses`); `writes`, of them the bases of addresses that it moves on (`moves`). `words` are
    the registers of a multiple load or store; `place` is what memory it accesses where that is one of known size at a
    known distance from a register.
    """

    line: str
    kind: str
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    accumulates: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    moves: frozenset[str] = frozenset()
    words: int = 0
    place: Place | None = None

    @property
    def loads(self) -> bool:
        """Whether it reads memory."""
        return self.kind in _LOADS

    @property
    def stores(self) -> bool:
        """Whether it writes memory."""
        return self.kind in _STORES

    @property
    def is_narrow_load(self) -> bool:
        """Whether it loads a byte or a halfword."""
        return self.kind == "load" and self.place is not None and self.place.bytes < 4


def parse(code: str, line: str) -> Instruction | None:
    """The instruction `code` of a listing's `line`; None for what must keep its place.

    These are labels, directives, branches, what changes the stack pointer, IT, conditional instructions, and all that
    the tables here do not know.
    """
    mnemonic, _, rest = code.strip().partition(" ")
    mnemonic = _SUFFIX.sub("", mnemonic)
    sets_flags = mnemonic in _SETS_FLAGS or mnemonic in _CLASSES["compare"]
    mnemonic = _SETS_FLAGS.get(mnemonic, mnemonic)
    kind, operands = _CLASS_OF.get(mnemonic), _operands(rest)
    if kind is None or not operands:
        return None
    if kind in _LOADS or kind in _STORES:
        found = _of_memory(line, mnemonic, kind, operands)
    else:
        found = _of_data(line, mnemonic, kind, operands, sets_flags)
    return None if found is None or "sp" in found.writes or "pc" in rest else found


def frame_address_is_taken(code: str) -> bool:
    """Whether an instruction makes an address from the stack pointer, by which a frame may be reached otherwise."""
    mnemonic, _, rest = code.strip().partition(" ")
    if mnemonic.startswith("."):
        return False
    operands = _operands(rest)
    own = mnemonic in ("push", "pop") or operands[:2] == ["sp", "sp"]
    return not own and any(_STACK.search(operand) for operand in operands if not operand.startswith("["))


def _of_data(line: str, mnemonic: str, kind: str, operands: list[str], sets_flags: bool) -> Instruction | None:
    first, *others = operands
    compares = kind == "compare"
    if not _REGISTER.fullmatch(first):
        return None
    two = len(others) == 1 and kind in ("alu", "shift", "simd", "mul") and not mnemonic.startswith(("mov", "mvn"))
    has_first = compares or two or mnemonic in _CHANGES
    reads = frozenset(_REGISTER.findall(" ".join(others))) | ({first} if has_first else set())
    if kind == "alu" and _SHIFTED.search(" ".join(others)):
        kind = "alu_shifted"
    added, factors = (others[2:], others[:2]) if kind in ("dsp_mac", "mla") else ([], [])
    writes = frozenset(() if compares else (first,)) | frozenset((FLAGS,) if sets_flags else ())
    return Instruction(line, kind, reads, writes, accumulates=frozenset(added) - frozenset(factors))


def _of_memory(line: str, mnemonic: str, kind: str, operands: list[str]) -> Instruction | None:
    if kind in ("load_multiple", "store_multiple", "fp_load_multiple"):
        base, held = operands[0].rstrip("!"), frozenset(_registers(operands[1]))
        moves, places, data = frozenset((base,) if operands[0].endswith("!") else ()), None, held
        addresses = frozenset((base,))
    else:
        count = 2 if kind == "load_double" else 1
        data, address, behind = frozenset(operands[:count]), operands[count], operands[count + 1 :]
        addresses = frozenset(_REGISTER.findall(address))
        found = _PLACE.match(address)
        moves = addresses if behind or address.endswith("!") else frozenset()
        size = _MEMORY_BYTES.get(mnemonic, 8)
        places = Place(found[1], int(found[2] or 0), size) if found else None
    if len(moves) > 1 or moves & data:
        return None
    stores = kind in _STORES
    reads, writes = addresses | (data if stores else frozenset()), moves | (frozenset() if stores else data)
    return Instruction(line, kind, reads, writes, addresses=addresses, moves=moves, words=len(data), place=places)


def _operands(text: str) -> list[str]:
    """Operands apart at the commas outside of brackets and braces."""
    parts, depth, current = [], 0, ""
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            parts.append(current.strip())
            current = ""
        else:
            current += letter
    return [*parts, current.strip()] if current.strip() else parts


def _registers(text: str) -> list[str]:
    """The registers of a list in braces."""
    whole = _RANGE.sub(lambda found: ", ".join(f"{found[1]}{i}" for i in range(int(found[2]), int(found[3]) + 1)), text)
    return _REGISTER.findall(whole)
