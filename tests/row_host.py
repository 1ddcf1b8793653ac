"""Runs row forms as C on the host, step by step on rows that lie apart, of which only what a step needs is there."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thimble.codegen import c_text
from thimble.codegen.project import HOST_CFLAGS
from thimble.compiler.ir.graph import Role, Site, Value
from thimble.compiler.ir.operator import (
    Accumulator,
    Argument,
    EndRow,
    FirstRow,
    Input,
    InputRows,
    KernelCall,
    Output,
    OutputRows,
    Rounding,
    RowForm,
    Table,
)
from thimble.runtime_c import KERNELS_DIR

UNIT = 8
"""Rows begin at multiples of this: THIMBLE_ROW_UNIT divides it, and every element is aligned there."""

_HEAD = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Puts rows [*have, end) of a tensor where they belong, and poisons those before first. */
static void pass(const thimble_rows *rows, const uint8_t *data, size_t bytes, int32_t *have, int32_t *gone,
                 int32_t first, int32_t end) {
    for (; *have < end; ++*have) {
        memcpy(thimble_row(rows, *have), data + (size_t)*have * bytes, bytes);
    }
    for (; *gone < first; ++*gone) {
        memset(thimble_row(rows, *gone), 0xA5, bytes);
    }
}
"""


@dataclass(frozen=True, slots=True)
class RowRun:
    """One node to run: its operands' contents, and the operand whose dying rows the output rows lie over, if any.

    `over` is the index in RowForm.overlaps.
    """

    site: Site
    operands: tuple[np.ndarray, ...]
    over: int | None = None
    rounding: Rounding = Rounding.TFLM


def run_rows_on_host(runs: Sequence[RowRun], folder: Path, compiler: str = "gcc") -> list[list[np.ndarray]]:
    """The outputs of each run. Raises AssertionError where the C does not compile or a sanitizer stops it."""
    rng = np.random.default_rng(len(runs))
    texts = [_Node(run, number, rng).text() for number, run in enumerate(runs)]
    kernels = sorted({call.kernel for run in runs for call in _calls(run)})
    text = [f'#include "thimble_{kernel}.h"' for kernel in kernels]
    text += [
        '#include "thimble_rows.h"',
        _HEAD,
        *texts,
        "int main(void) {",
        '    FILE *out = fopen("outputs.bin", "wb");',
    ]
    text += [f"    run_{number}(out);" for number in range(len(runs))]
    text += ["    return fclose(out);", "}"]
    (folder / "rows.c").write_text("\n".join(text) + "\n")
    sources = [str(KERNELS_DIR / f"thimble_{kernel}.c") for kernel in kernels]
    flags = [flag for flag in HOST_CFLAGS if flag != "-g"]
    command = [compiler, *flags, f"-I{KERNELS_DIR}", "rows.c", *sources, "-o", "rows"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[:4000]
    ran = subprocess.run(["./rows"], cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert ran.returncode == 0, ran.stderr[:4000]
    return _read(runs, (folder / "outputs.bin").read_bytes())


def _calls(run: RowRun) -> tuple[KernelCall, ...]:
    return run.site.op.lower_rows(run.site, run.rounding)


def _form(run: RowRun) -> RowForm:
    form = run.site.op.rows(run.site)
    assert form is not None
    return form


def _read(runs: Sequence[RowRun], data: bytes) -> list[list[np.ndarray]]:
    results, at = [], 0
    for run in runs:
        arrays = []
        for value in run.site.outputs:
            array = np.frombuffer(data, value.type.dtype.numpy, value.type.elements, at)
            arrays.append(array.reshape(value.type.shape))
            at += array.nbytes
        results.append(arrays)
    return results


class _Node:
    """The C of one run: a function that makes the output and writes it to a file."""

    def __init__(self, run: RowRun, number: int, rng: np.random.Generator) -> None:
        self._run, self._number, self._rng = run, number, rng
        self._form = _form(run)
        self._accumulates = self._form.accumulator_bytes > 0
        self._moving = [(i, v) for i, v in enumerate(run.site.inputs) if v is not None and self._form.needs[i]]
        self._lines: list[str] = []
        self._arena = UNIT

    def text(self) -> str:
        self._lines.append(f"static void run_{self._number}(FILE *out) {{")
        self._declare()
        self._loop()
        self._write()
        return "\n".join([*self._lines, "    free(arena);", "}"])

    def _declare(self) -> None:
        """The arena, where the rows lie in it, and what the operands hold."""
        run, lines = self._run, self._lines
        offsets = {f"input_{i}": self._offsets(value, run.over is not None) for i, value in self._moving}
        offsets |= {f"output_{i}": self._offsets(value, False) for i, value in enumerate(run.site.outputs)}
        sums = self._arena
        self._arena += -(-self._form.accumulator_bytes // UNIT) * UNIT
        lines += [f"    uint8_t *arena = malloc({self._arena});", f"    memset(arena, 0x55, {self._arena});"]
        for name, places in offsets.items():
            self._table(name, places, name.startswith("output") and run.over is not None)
        for i, _ in self._moving:
            self._array(f"data_{i}", np.frombuffer(run.operands[i].tobytes(), np.uint8))
            spans = np.array(self._form.needs[i], np.int32)
            self._array(f"first_{i}", spans[:, 0].copy())
            self._array(f"end_{i}", spans[:, 1].copy())
            lines.append(f"    int32_t have_{i} = 0, gone_{i} = 0;")
        if run.over is not None:
            self._array("place", self._places(offsets))
        if self._accumulates:
            lines.append(f"    void *sums = arena + {sums};")
        else:
            lines += [f"    uint8_t *made_{i} = malloc({v.type.bytes});" for i, v in enumerate(run.site.outputs)]

    def _loop(self) -> None:
        """The steps; each output row is taken away as soon as it is made."""
        run, lines = self._run, self._lines
        lines.append(f"    for (int32_t s = 0; s < {self._form.steps}; s++) {{")
        for i, value in self._moving:
            spans = f"first_{i}[s], end_{i}[s]"
            lines.append(f"        pass(&input_{i}, data_{i}, {value.type.row_bytes}, &have_{i}, &gone_{i}, {spans});")
        if run.over is not None:
            lines.append("        output_0.base = arena + place[s];")
        for number, call in enumerate(_calls(run)):
            self._call(number, call)
        for i, value in enumerate(run.site.outputs if not self._accumulates else ()):
            size = value.type.row_bytes
            lines.append(f"        memcpy(made_{i} + {size} * s, thimble_row(&output_{i}, s), {size});")
        lines.append("    }")

    def _write(self) -> None:
        """All outputs, whole, to the file."""
        for i, value in enumerate(self._run.site.outputs):
            made = "thimble_row(&output_0, 0)" if self._accumulates else f"made_{i}"
            self._lines.append(f"    fwrite({made}, 1, {value.type.bytes}, out);")
            if not self._accumulates:
                self._lines.append(f"    free(made_{i});")

    def _offsets(self, value: Value, spaced: bool) -> np.ndarray:
        """Places of rows in a random order; `spaced` leaves room for an output row on both sides of each."""
        size = -(-value.type.row_bytes // UNIT) * UNIT
        room = 0
        if spaced:
            made = self._run.site.output().type
            room = 2 * (-(-max(made.bytes if self._form.accumulator_bytes else made.row_bytes, size) // UNIT) * UNIT)
        order = self._rng.permutation(value.type.rows)
        offsets = np.empty(value.type.rows, np.int64)
        for row in order:
            gap = UNIT * int(self._rng.integers(1, 3))
            offsets[row] = self._arena + gap + room
            self._arena = int(offsets[row]) + size + room
        return offsets

    def _places(self, offsets: dict[str, np.ndarray]) -> np.ndarray:
        """For each step, where the output row lies: over an operand row that dies there, as late as it may begin."""
        run, form = self._run, self._form
        assert run.over is not None
        overlap = form.overlaps[run.over]
        needs = form.needs[overlap.input]
        assert needs is not None
        value = run.site.input(overlap.input)
        made = run.site.output().type
        unit = max(value.type.dtype.bytes, made.dtype.bytes)
        places = []
        for step, (first, end) in enumerate(needs):
            later = needs[step + 1][0] if step + 1 < len(needs) else value.type.rows
            dying = range(first, min(end, later))
            if form.accumulator_bytes:
                dying = range(needs[-1][0], needs[-1][1])
            if len(dying):
                row = int(self._rng.choice(dying))
                places.append(int(offsets[f"input_{overlap.input}"][row]) - -(-overlap.distance // unit) * unit)
            else:
                places.append(int(offsets["output_0"][0]))
        return np.array(places, np.int32)

    def _table(self, name: str, offsets: np.ndarray, moving: bool) -> None:
        """The rows of a tensor by a table of offsets; of one that moves at each step, all at its base."""
        if moving:
            self._lines.append(f"    thimble_rows {name} = {{arena, NULL, 0}};")
            return
        self._array(f"{name}_offsets", (offsets // 4).astype(np.uint16))
        assert offsets.max() < 4 << 16
        self._lines.append(f"    const thimble_rows {name} = {{arena, {name}_offsets, 0}};")

    def _array(self, name: str, data: np.ndarray) -> None:
        types = {"float32": "float", "bool": "uint8_t"}
        c_type = types.get(data.dtype.name, f"{data.dtype.name}_t")
        values = data.astype(np.uint8) if data.dtype == np.bool_ else data
        self._lines.append(
            f"    static const {c_type} {name}[] = {{{' '.join(c_text.array_lines(values.reshape(-1)))}}};"
        )

    def _call(self, number: int, call: KernelCall) -> None:
        arguments = []
        if call.params:
            fields = ", ".join(f".{field} = {c_text.literal(value)}" for field, value in call.params)
            self._lines.append(f"        const thimble_{call.kernel}_params params_{number} = {{{fields}}};")
            arguments.append(f"&params_{number}")
        arguments += [self._argument(number, argument) for argument in call.arguments]
        self._lines.append(f"        thimble_{call.kernel}({', '.join(arguments)});")

    def _argument(self, call: int, argument: Argument) -> str:
        run = self._run
        if isinstance(argument, FirstRow | EndRow):
            return "s" if isinstance(argument, FirstRow) else "s + 1"
        if isinstance(argument, Table):
            name = f"{argument.name}_{call}"
            self._array(name, argument.data)
            return name
        if isinstance(argument, Accumulator):
            return "sums"
        if isinstance(argument, InputRows | OutputRows):
            name = f"{'input' if isinstance(argument, InputRows) else 'output'}_{argument.index}"
            if isinstance(argument, InputRows) and self._form.needs[argument.index] is None:
                constant = self._constant(argument.index)
                row_bytes = run.site.input(argument.index).type.row_bytes
                return f"&(thimble_rows){{(uint8_t *)(uintptr_t){constant}, NULL, {row_bytes}}}"
            return f"&{name}"
        if isinstance(argument, Input):
            if self._form.needs[argument.index] is None:
                return self._constant(argument.index)
            return f"thimble_row(&input_{argument.index}, first_{argument.index}[s])"
        assert isinstance(argument, Output)
        row = "0" if self._accumulates else "s"
        return f"thimble_row(&output_{argument.index}, {row})"

    def _constant(self, index: int) -> str:
        value = self._run.site.input(index)
        assert value.role is Role.CONSTANT
        name = f"constant_{index}"
        if not any(f" {name}[]" in line for line in self._lines):
            self._array(name, value.constant)
        return name
