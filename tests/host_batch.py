"""Runs many small graphs as C on the host in one build, under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from thimble.codegen.project import HOST_CFLAGS, generate_sources
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import ARENA_ALIGNMENT, plan_layers

Sample = Sequence[np.ndarray]

_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs the samples of one model on an arena of exactly the planned size, poisoned before init. */
static void run(size_t bytes, int (*init)(void *), void (*invoke)(void *), int samples, int inputs,
                const size_t *in_offsets, const size_t *in_sizes, int outputs, const size_t *out_offsets,
                const size_t *out_sizes, FILE *in, FILE *out) {
    unsigned char *arena = NULL;
    if (posix_memalign((void **)&arena, ALIGNMENT, bytes) != 0) {
        abort();
    }
    memset(arena, 0x55, bytes);
    if (init(arena) != 0) {
        abort();
    }
    for (int s = 0; s < samples; s++) {
        for (int i = 0; i < inputs; i++) {
            if (fread(arena + in_offsets[i], 1, in_sizes[i], in) != in_sizes[i]) {
                abort();
            }
        }
        invoke(arena);
        for (int o = 0; o < outputs; o++) {
            fwrite(arena + out_offsets[o], 1, out_sizes[o], out);
        }
    }
    free(arena);
}
"""


def run_on_host(
    graphs: Sequence[Graph],
    samples: Sequence[Sequence[Sample]],
    folder: Path,
    rounding: Rounding = Rounding.TFLM,
    compiler: str = "gcc",
    timeout_s: float | None = None,
    plan_of: Callable[[Graph, Rounding], Plan] = plan_layers,
) -> list[list[list[np.ndarray]]]:
    """Outputs of each graph for each of its samples, in order and without a reset between them.

    Raises AssertionError where the C does not compile or a sanitizer stops it, TimeoutExpired after `timeout_s`.
    """
    unity = ["#define _POSIX_C_SOURCE 200809L", f"#define ALIGNMENT {ARENA_ALIGNMENT}"]
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
        layers = re.findall(r"^static LAYER void (layer_\w+)\(", project.files[f"{name}.c"], re.M)
        unity += [f"#define {layer} {name}_{layer}" for layer in layers]
        unity += [f'#include "{file}"' for file in (f"{name}_weights.c", f"{name}.c") if file in project.files]
        unity += [f"#undef {layer}" for layer in [*layers, "LAYER"]]
        sizes = {kind: [graph.values[i].type.bytes for i in ids] for kind, ids in _interface(graph)}
        offsets = {kind: [plan.value_offset(i) for i in ids] for kind, ids in _interface(graph)}
        ins, outs = sizes["in"], sizes["out"]
        calls.append(
            f"    run({name.upper()}_ARENA_BYTES, {name}_init, {name}_invoke, {len(samples[number])}, "
            f"{len(ins)}, {_array(offsets['in'])}, {_array(ins)}, "
            f"{len(outs)}, {_array(offsets['out'])}, {_array(outs)}, in, out);"
        )
    main = [
        "int main(void) {",
        '    FILE *in = fopen("inputs.bin", "rb");',
        '    FILE *out = fopen("outputs.bin", "wb");',
    ]
    main += [*calls, "    fclose(in);", "    return fclose(out);", "}"]
    (folder / "unity.c").write_text("\n".join([*unity, _MAIN, *main]) + "\n")
    flags = [flag for flag in HOST_CFLAGS if flag != "-g"]
    command = [compiler, *flags, "unity.c", *sorted(kernels), "-o", "batch"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[:4000]
    with (folder / "inputs.bin").open("wb") as file:
        for sample in (s for model in samples for s in model):
            for array in sample:
                file.write(np.ascontiguousarray(array).tobytes())
    ran = subprocess.run(
        ["./batch"], cwd=folder, capture_output=True, text=True, errors="replace", check=False, timeout=timeout_s
    )
    assert ran.returncode == 0, ran.stderr[:4000]
    return _read_outputs(graphs, [len(s) for s in samples], (folder / "outputs.bin").read_bytes())


def _interface(graph: Graph) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return ("in", graph.inputs), ("out", graph.outputs)


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
