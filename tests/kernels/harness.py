"""Runs kernel calls on images of memory: rows lie apart in random places with guard bytes around every buffer."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.unit.tiny_firmware import build_tiny_sources
from thimble.codegen import c_text
from thimble.codegen.project import HOST_CFLAGS
from thimble.compiler.ir.errors import DoesNotFit
from thimble.compiler.ir.graph import Role, Site, Value
from thimble.compiler.ir.operator import (
    Accumulator,
    EndRow,
    FirstRow,
    Input,
    InputRows,
    KernelCall,
    Output,
    OutputRows,
    RowForm,
    Scratch,
    Table,
)
from thimble.compiler.ir.packing import to_bytes
from thimble.runtime_c import kernel_files
from thimble.targets.model import Target
from thimble.targets.sim.simulate import simulate

ALIGN = 8
"""Alignment of every buffer here: AddressSanitizer's granule, so that the byte behind a buffer is poisoned."""

GUARD = 0xA5


@dataclass(slots=True)
class Region:
    """Bytes of the image that the kernel may touch."""

    offset: int
    bytes: int


@dataclass(slots=True)
class Case:
    """One kernel call, made in portions of rows, on one image of memory; `expected` is the image afterwards.

    `free` are the regions whose contents afterwards do not matter: scratch. `number` is the one in its C names.
    """

    number: int
    call: KernelCall
    image: np.ndarray
    expected: np.ndarray
    regions: list[Region]
    free: list[Region]
    text: str


def make_case(
    site: Site, call: KernelCall, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], number: int,
    rng: np.random.Generator, whole: bool,
) -> Case:  # fmt: skip
    """The case of a call: `inputs` for each operand of the site that is no constant, `outputs` as they must be.

    `whole`: one call on whole tensors; else rows lie apart, and calls take some of them.
    """
    return _CaseMaker(site, number, rng, whole).make(call, inputs, outputs)


class _CaseMaker:
    def __init__(self, site: Site, number: int, rng: np.random.Generator, whole: bool) -> None:
        self._site, self._number, self._rng, self._whole = site, number, rng, whole
        self._regions: list[Region] = []
        self._free: list[Region] = []
        self._contents: list[tuple[Region, np.ndarray | None, np.ndarray]] = []
        self._over: dict[int, Region] = {}  # where output rows lie over rows of input number `_under`; whole is row 0
        self._input: dict[int, Region] = {}
        self._under = 0
        self._lines: list[str] = []
        self._statics: list[str] = []
        self._next = ALIGN

    def make(self, call: KernelCall, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Case:
        name = f"case_{self._number}"
        operands = iter(inputs)
        data = [None if v is None or v.role is Role.CONSTANT else next(operands) for v in self._site.inputs]
        self._put_over_inputs(call, data, outputs[0])
        arguments = [self._argument(argument, data, outputs, name) for argument in call.arguments]
        fields = ", ".join(f".{field} = {c_text.literal(value)}" for field, value in call.params)
        self._statics.append(f"static const thimble_{call.kernel}_params {name}_params = {{{fields}}};")
        calls = [
            c_text.call(f"thimble_{call.kernel}", [f"&{name}_params", *(a.format(**span) for a in arguments)])
            for span in self._spans(call)
        ]
        image = np.full(-(-self._next // ALIGN) * ALIGN, GUARD, np.uint8)
        for region in self._free:
            image[region.offset : region.offset + region.bytes] = self._rng.integers(0, 256, region.bytes)
        expected = image.copy()
        for region, before, after in self._contents:
            if before is not None:
                image[region.offset : region.offset + region.bytes] = before
            expected[region.offset : region.offset + region.bytes] = after
        body = "\n".join([*self._statics, f"static void {name}(void) {{", *self._lines, *calls, "}"])
        return Case(self._number, call, image, expected, self._regions, self._free, body)

    def _spans(self, call: KernelCall) -> list[dict[str, int]]:
        """The portions of rows in which the call is made: all at once, or cut at random."""
        summing = any(isinstance(argument, Accumulator) for argument in call.arguments)
        rows = (self._site.input if summing else self._site.output)().type.rows
        if FirstRow() not in call.arguments or self._whole or self._rng.random() < 0.2:
            return [{"first": 0, "end": rows}]
        cuts = sorted({0, rows, *(int(cut) for cut in self._rng.integers(0, rows + 1, 3))})
        return [{"first": first, "end": end} for first, end in itertools.pairwise(cuts)]

    def _argument(
        self, argument: object, inputs: Sequence[np.ndarray | None], outputs: Sequence[np.ndarray], name: str
    ) -> str:
        match argument:
            case FirstRow():
                return "{first}"
            case EndRow():
                return "{end}"
            case Table():
                return self._table(f"{name}_{argument.name}", argument.data)
            case Scratch() | Accumulator():
                region = self._place(argument.bytes)
                self._free.append(region)
                return f"({argument.dtype} *)(void *)(memory + {region.offset})"
            case InputRows() | OutputRows() | Input() | Output():
                return self._tensor(argument, inputs, outputs, name)
        raise NotImplementedError(f"{argument} has no place in the harness")

    def _tensor(
        self,
        argument: InputRows | OutputRows | Input | Output,
        inputs: Sequence[np.ndarray | None],
        outputs: Sequence[np.ndarray],
        name: str,
    ) -> str:
        is_input = isinstance(argument, InputRows | Input)
        value: Value = (self._site.input if is_input else self._site.output)(argument.index)
        if is_input and value.role is Role.CONSTANT:
            return self._table(f"{name}_constant_{argument.index}", value.constant)
        data = (inputs if is_input else outputs)[argument.index]
        assert data is not None
        raw = np.frombuffer(to_bytes(np.ascontiguousarray(data), value.type.dtype), np.uint8)
        if isinstance(argument, Input | Output):
            region = self._put(raw, argument)
            const = "const " if is_input else ""
            return f"({const}{value.type.dtype.c_name} *)(void *)(memory + {region.offset})"
        rows, row_bytes = value.type.rows, value.type.row_bytes
        label = f"{'input' if is_input else 'output'}_{argument.index}"
        if self._whole:
            region = self._put(raw, argument)
            fields = f".base = memory + {region.offset}, .row_bytes = {row_bytes}"
            self._lines.append(f"    const thimble_rows {label} = {{{fields}}};")
            return f"&{label}"
        regions: dict[int, Region] = {}
        for row in map(int, self._rng.permutation(rows)):
            regions[row] = self._put(raw[row * row_bytes : (row + 1) * row_bytes], argument, row)
        offsets = ", ".join(str(regions[row].offset // 4) for row in range(rows))
        self._statics.append(f"static const uint16_t {name}_{label}[] = {{{offsets}}};")
        self._lines.append(f"    const thimble_rows {label} = {{.base = memory, .offsets = {name}_{label}}};")
        return f"&{label}"

    def _table(self, name: str, data: np.ndarray) -> str:
        values = " ".join(c_text.array_lines(data))
        self._statics.append(f"static const {c_text.c_type(data)} {name}[] = {{{values}}};")
        return name

    def _put_over_inputs(self, call: KernelCall, inputs: Sequence[np.ndarray | None], output: np.ndarray) -> None:
        """Place the output over an input, or its rows over dying rows of one: of several the last one, such as that of
        a residual."""
        form = None if self._whole or FirstRow() not in call.arguments else self._site.op.rows(self._site)
        declared = self._site.overlaps() if self._whole else form.overlaps if form is not None else ()
        if not declared or not call.overlaps or (form is not None and form.accumulator_bytes):
            return
        overlap = declared[-1]
        data = inputs[overlap.input]
        assert data is not None
        self._under = overlap.input
        raw = np.frombuffer(to_bytes(data, self._site.input(overlap.input).type.dtype), np.uint8)
        made = np.frombuffer(to_bytes(output, self._site.output().type.dtype), np.uint8)
        if form is None:
            self._put_over_input(overlap.distance + call.ahead_bytes, raw, made, 0, 0)
            return
        read, written = raw.reshape(self._site.input(overlap.input).type.rows, -1), made.reshape(form.steps, -1)
        for row, under in _dying_rows(form, overlap.input).items():
            self._put_over_input(overlap.distance, read[under], written[row], row, under)

    def _put_over_input(self, distance: int, raw: np.ndarray, made: np.ndarray, row: int, under: int) -> None:
        """Place bytes of the output over those of the input, as far as a distance allows; what is left of that is
        free."""
        behind = -(-distance // 4) * 4
        first, shift = max(-behind, 0), max(behind, 0)
        whole = self._place(max(shift + raw.size, first + made.size))
        self._over[row] = Region(whole.offset + first, made.size)
        self._input[under] = Region(whole.offset + shift, raw.size)
        rest = self._over[row].offset + made.size
        self._free.append(Region(whole.offset, first))
        self._free.append(Region(rest, whole.offset + whole.bytes - rest))
        self._contents.append((self._input[under], raw, raw))
        self._contents.append((self._over[row], None, made))

    def _put(self, raw: np.ndarray, argument: InputRows | OutputRows | Input | Output, row: int = 0) -> Region:
        is_input = isinstance(argument, InputRows | Input)
        placed = self._over if not is_input else self._input if argument.index == self._under else {}
        if row in placed:
            return placed[row]
        region = self._place(raw.size)
        self._contents.append((region, raw if is_input else np.full(raw.size, GUARD, np.uint8), raw))
        return region

    def _place(self, size: int) -> Region:
        region = Region(self._next, size)
        self._next += -(-size // ALIGN) * ALIGN + ALIGN
        self._regions.append(region)
        return region


def _dying_rows(form: RowForm, index: int) -> dict[int, int]:
    """For steps of a row form, one row of an input that no later step reads."""
    needs, found, gone = form.needs[index], dict[int, int](), 0
    assert needs is not None
    for step, (first, end) in enumerate(needs):
        dying = range(max(first, gone), min([end, *(later for later, last in needs[step + 1 :] if later < last)]))
        if len(dying):
            found[step] = dying[-1]
            gone = dying[-1] + 1
    return found


_HEAD = """
#include <stdint.h>
#if defined(__arm__) || defined(__riscv)
#include "semihosting.h"
static int32_t before, after;
static int read_image(uint8_t *to, uint32_t bytes) { return semihosting_read(before, to, bytes) == (int32_t)bytes; }
static void write_image(uint8_t *from, uint32_t bytes) { (void)semihosting_write(after, from, bytes); }
#define POISON(from, bytes) ((void)0)
#define UNPOISON(from, bytes) ((void)0)
#else
#include <sanitizer/asan_interface.h>
#include <stdio.h>
static FILE *before, *after;
static int read_image(uint8_t *to, uint32_t bytes) { return fread(to, 1, bytes, before) == bytes; }
static void write_image(uint8_t *from, uint32_t bytes) { (void)fwrite(from, 1, bytes, after); }
#define POISON(from, bytes) __asan_poison_memory_region(from, bytes)
#define UNPOISON(from, bytes) __asan_unpoison_memory_region(from, bytes)
#endif
static uint8_t memory[MEMORY_BYTES] __attribute__((aligned(16)));
"""

_MAIN = """
int main(void) {
#if defined(__arm__) || defined(__riscv)
    before = semihosting_open("inputs.bin", SEMIHOSTING_READ);
    after = semihosting_open("outputs.bin", SEMIHOSTING_WRITE);
#else
    before = fopen("inputs.bin", "rb");
    after = fopen("outputs.bin", "wb");
#endif
CASES
#if defined(__arm__) || defined(__riscv)
    return semihosting_close(after) == 0 ? 0 : 1;
#else
    return fclose(after);
#endif
}
"""


def write_sources(cases: Sequence[Case], folder: Path) -> list[str]:
    """main.c with all cases and every kernel file in `folder`, and inputs.bin; the names of the C files."""
    plain = {name for c in cases for name in (c.call.source.needs if c.call.source else (c.call.kernel,))}
    generated = {name: text for c in cases if c.call.source for name, text in c.call.source.files}
    files = kernel_files(plain, generated=generated)
    runs = []
    for case in cases:
        opened = " ".join(f"UNPOISON(memory + {r.offset}, {r.bytes});" for r in case.regions)
        runs.append(
            f"    if (!read_image(memory, {case.image.size})) {{ return {2}; }}\n"
            f"    POISON(memory, sizeof memory); {opened}\n    case_{case.number}();\n"
            f"    UNPOISON(memory, sizeof memory);\n    write_image(memory, {case.image.size});"
        )
    includes = "".join(f'#include "thimble_{kernel}.h"\n' for kernel in sorted({c.call.kernel for c in cases}))
    size = max(case.image.size for case in cases)
    main = (
        f"#define MEMORY_BYTES {size}\n{_HEAD}{includes}"
        + "\n".join(case.text for case in cases)
        + _MAIN.replace("CASES", "\n".join(runs))
    )
    files["main.c"] = main
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "inputs.bin").write_bytes(b"".join(case.image.tobytes() for case in cases))
    return sorted(name for name in files if name.endswith(".c"))


def check_outputs(cases: Sequence[Case], folder: Path) -> None:
    """Every byte of every image but scratch is as expected: outputs, unchanged inputs, guards."""
    raw = np.fromfile(folder / "outputs.bin", np.uint8)
    assert raw.size == sum(case.image.size for case in cases)
    at = 0
    for number, case in enumerate(cases):
        got = raw[at : at + case.image.size].copy()
        at += case.image.size
        for region in case.free:
            part = slice(region.offset, region.offset + region.bytes)
            got[part] = case.expected[part]
        wrong = np.flatnonzero(got != case.expected)
        assert not wrong.size, f"case {number}, {case.call.kernel} {dict(case.call.params)}: {wrong.size} bytes differ"


def run_on_host(cases: Sequence[Case], folder: Path) -> None:
    """Run all cases here under the address and undefined-behaviour sanitizers, and check them."""
    sources = write_sources(cases, folder)
    flags = [flag for flag in HOST_CFLAGS if flag != "-g"]
    built = subprocess.run(
        ["gcc", *flags, *sources, "-o", "cases"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr[:4000]
    ran = subprocess.run(["./cases"], cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert ran.returncode == 0, ran.stderr[:4000]
    check_outputs(cases, folder)


def run_on_target(cases: Sequence[Case], folder: Path, target: Target) -> None:
    """Run all cases as firmware on a chip's simulator, and check them: by halves where they do not fit the chip."""
    sources = write_sources(cases, folder)
    try:
        images = build_tiny_sources(folder, target, sources)
    except DoesNotFit:
        if len(cases) < 2:
            raise
        for name, half in (("first", cases[: len(cases) // 2]), ("second", cases[len(cases) // 2 :])):
            (folder / name).mkdir()
            run_on_target(half, folder / name, target)
        return
    simulate(images.sim_elf, target, folder)
    check_outputs(cases, folder)
