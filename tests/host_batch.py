"""Runs many small graphs as C on the host in one build, under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np

from tests.poison import poisoned_invoke
from thimble.codegen.project import HOST_CFLAGS, generate_sources
from thimble.codegen.readers import callbacks
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import ARENA_ALIGNMENT

Sample = Sequence[np.ndarray]

_MAIN = """
#include <stdio.h>

/* Runs the samples of one model on an arena of exactly the planned size, poisoned before init. */
static void run(size_t bytes, int (*init)(void *), void (*infer)(uint8_t *, uint8_t *), int samples,
                size_t sample_bytes, int outputs, const size_t *out_offsets, const size_t *out_sizes, FILE *in,
                FILE *out) {
    uint8_t *arena = NULL;
    uint8_t *sample = malloc(sample_bytes + 1);
    if (sample == NULL || posix_memalign((void **)&arena, ALIGNMENT, bytes) != 0) {
        abort();
    }
    memset(arena, 0x55, bytes);
    if (init(arena) != 0) {
        abort();
    }
    for (int s = 0; s < samples; s++) {
        if (fread(sample, 1, sample_bytes, in) != sample_bytes) {
            abort();
        }
        infer(arena, sample);
        for (int o = 0; o < outputs; o++) {
            fwrite(arena + out_offsets[o], 1, out_sizes[o], out);
        }
    }
    free(arena);
    free(sample);
}
"""

_READ_ROWS = """
int {function}(void *ctx, int first, int count, {c_type} *dst) {{
    memcpy(dst, (const uint8_t *)ctx + {at} + first * {row}, (size_t)count * {row});
    return 0;
}}
"""

_READ_PATCH = """
int {function}(void *ctx, int first_row, int rows, int first_column, int columns, {c_type} *dst) {{
    const size_t bytes = (size_t)columns * {column};
    for (int row = 0; row < rows; row++) {{
        const uint8_t *from = (const uint8_t *)ctx + {at} + (first_row + row) * {row} + first_column * {column};
        memcpy((uint8_t *)dst + (size_t)row * bytes, from, bytes);
    }}
    return 0;
}}
"""


def run_on_host(
    graphs: Sequence[Graph],
    samples: Sequence[Sequence[Sample]],
    folder: Path,
    rounding: Rounding = Rounding.TFLM,
    compiler: str = "gcc",
    timeout_s: float | None = None,
    plan_of: Callable[[Graph, Rounding], Plan] = plan_layers,
    poison: bool = False,
) -> list[list[list[np.ndarray]]]:
    """Outputs of each graph for each of its samples, in order and without a reset between them.

    With `poison`, the steps of the plan are called one by one, and every byte of the arena that no buffer holds then
    is overwritten before and after each; otherwise the model's own invoke runs.
    Raises AssertionError where the C does not compile or a sanitizer stops it, TimeoutExpired after `timeout_s`.
    """
    unity = [
        "#define _POSIX_C_SOURCE 200809L",
        "#include <stdint.h>",
        "#include <stdlib.h>",
        "#include <string.h>",
        f"#define ALIGNMENT {ARENA_ALIGNMENT}",
    ]
    calls = []
    kernels: set[str] = set()
    for number, graph in enumerate(graphs):
        name = f"m{number:03d}"
        plan = plan_of(graph, rounding)
        check_plan(graph, plan)
        project = generate_sources(graph, plan, name, rounding)
        for file, text in project.files.items():
            (folder / file).write_text(text)
        kernels |= {file for file in project.files if re.fullmatch(r"thimble_\w+\.c", file)}
        statics = re.findall(
            r"^static (?:[\w ]+ |int \(\*const |void \(\*const )(\w+)[\[(]", project.files[f"{name}.c"], re.M
        )
        unity += [f"#define {static} {name}_{static}" for static in statics]
        unity += [f'#include "{file}"' for file in (f"{name}_weights.c", f"{name}.c") if file in project.files]
        unity += _callbacks(graph, plan, name)
        unity += [poisoned_invoke(graph, plan, name, rounding)] if poison else []
        unity += [_infer(graph, plan, name, poison), *(f"#undef {static}" for static in [*statics, "LAYER"])]
        outs = [graph.values[i].type.bytes for i in graph.outputs]
        calls.append(
            f"    run({name.upper()}_ARENA_BYTES, {name}_init, {name}_infer, {len(samples[number])}, "
            f"{sum(graph.values[i].type.bytes for i in graph.inputs)}, "
            f"{len(outs)}, {_array([plan.value_offset(i) for i in graph.outputs])}, {_array(outs)}, in, out);"
        )
    main = [
        "int main(void) {",
        '    FILE *in = fopen("inputs.bin", "rb");',
        '    FILE *out = fopen("outputs.bin", "wb");',
    ]
    main += [*calls, "    fclose(in);", "    return fclose(out);", "}"]
    (folder / "unity.c").write_text("\n".join([*unity, _MAIN, *main]) + "\n")
    _build(folder, kernels, compiler)
    _run(folder, samples, timeout_s)
    return _read_outputs(graphs, [len(s) for s in samples], (folder / "outputs.bin").read_bytes())


def _build(folder: Path, kernels: Collection[str], compiler: str) -> None:
    flags = [flag for flag in HOST_CFLAGS if flag != "-g"]
    command = [compiler, *flags, "unity.c", *sorted(kernels), "-o", "batch"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[:4000]


def _run(folder: Path, samples: Sequence[Sequence[Sample]], timeout_s: float | None) -> None:
    with (folder / "inputs.bin").open("wb") as file:
        for sample in (s for model in samples for s in model):
            for array in sample:
                file.write(np.ascontiguousarray(array).tobytes())
    ran = subprocess.run(
        ["./batch"], cwd=folder, capture_output=True, text=True, errors="replace", check=False, timeout=timeout_s
    )
    assert ran.returncode == 0, ran.stderr[:4000]


def _callbacks(graph: Graph, plan: Plan, name: str) -> list[str]:
    """The functions that hand over rows of a sample, which lies whole behind `ctx`, its inputs back to back."""
    texts = []
    for position, callback in callbacks(graph, plan, name).items():
        type_ = graph.values[graph.inputs[position]].type
        at = sum(graph.values[i].type.bytes for i in graph.inputs[:position])
        text = _READ_PATCH if callback.by_columns else _READ_ROWS
        column = type_.row_bytes // type_.columns
        fields = {"c_type": type_.dtype.c_name, "at": at, "row": type_.row_bytes, "column": column}
        texts.append(text.format(function=callback.function, **fields))
    return texts


def _infer(graph: Graph, plan: Plan, name: str, poison: bool) -> str:
    """The function that puts a sample's resident inputs into the arena and runs one inference."""
    asked = callbacks(graph, plan, name)
    lines, at = [], 0
    for position, value in enumerate(graph.inputs):
        size = graph.values[value].type.bytes
        if position not in asked:
            lines.append(f"memcpy(arena + {plan.value_offset(value)}, sample + {at}, {size});")
        at += size
    call = f"{name}_poisoned(arena, sample)" if poison else f"{name}_invoke(arena{', sample' if asked else ''})"
    lines.append(f"if ({call} != 0) {{ abort(); }}" if poison or asked else f"(void)sample; {call};")
    return f"static void {name}_infer(uint8_t *arena, uint8_t *sample) {{\n    " + "\n    ".join(lines) + "\n}"


def _array(values: Sequence[int]) -> str:
    return "(const size_t[]){" + ", ".join(map(str, values or [0])) + "}"


def _read_outputs(graphs: Sequence[Graph], counts: Sequence[int], raw: bytes) -> list[list[list[np.ndarray]]]:
    results, at = [], 0
    for graph, count in zip(graphs, counts, strict=True):
        model = []
        for _ in range(count):
            outputs = []
            for index in graph.outputs:
                type_ = graph.values[index].type
                array = np.frombuffer(raw, type_.dtype.numpy, type_.elements, at)
                outputs.append(array.reshape(type_.shape))
                at += type_.bytes
            model.append(outputs)
        results.append(model)
    assert at == len(raw)
    return results
