"""The first layer at which a runtime leaves the expected bytes: what a user needs to know when outputs differ."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thimble.codegen.project import HOST_CFLAGS, generate_sources, render_trace_main
from thimble.codegen.ram_places import RamPlaces
from thimble.compiler.driver.build_folder import Build
from thimble.compiler.driver.data import Samples, model_samples
from thimble.compiler.driver.oracle import trace_oracle
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.packing import from_bytes
from thimble.compiler.ops.executor import Executor
from thimble.compiler.plan.layer_plan import plan_layers


def first_differing_layer(
    build: Build, samples: Samples, runtime: str, sample: int, folder: Path
) -> dict[str, Any] | None:
    """The first layer whose output differs at `sample`, or None where every layer's output agrees.

    The integer reference is compared with the oracle's own intermediate tensors, C on the host with the integer
    reference. The target runs the very same C: where it alone differs, its compiler or simulator is at fault, and
    no layer is named.
    """
    if runtime == "integer reference":
        return _against_oracle(build, samples, sample)
    if runtime == "host":
        return _against_reference(build, samples, sample, folder)
    return None


def _reference_trace(build: Build, samples: Samples, sample: int) -> dict[int, Array]:
    """Every value of the integer reference at `sample`, earlier samples run first for their state."""
    executor = Executor(build.graph, build.rounding)
    for index in range(sample if build.graph.states else 0):
        executor.invoke(samples.sample(index))
    return executor.trace(samples.sample(sample))


def _against_oracle(build: Build, samples: Samples, sample: int) -> dict[str, Any] | None:
    ours = _reference_trace(build, samples, sample)
    given = model_samples(samples, build.interface)
    theirs = trace_oracle(build.model, build.graph, given, sample, build.rounding)
    for step, node in enumerate(build.graph.nodes):
        for value in node.outputs:
            tensor = build.graph.values[value].tensor
            if tensor is not None and tensor in theirs and ours[value].tobytes() != theirs[tensor].tobytes():
                return _layer(build, step, ours[value], theirs[tensor])
    return None


def _against_reference(build: Build, samples: Samples, sample: int, folder: Path) -> dict[str, Any] | None:
    expected = _reference_trace(build, samples, sample)
    got = _host_trace(build, samples, sample, folder)
    at = 0
    for step, node in enumerate(build.graph.nodes):
        for value in node.outputs:
            type_ = build.graph.values[value].type
            ours = from_bytes(got, type_, at)
            at += type_.bytes
            if ours.tobytes() != expected[value].tobytes():
                return _layer(build, step, ours, expected[value])
    return None


def _host_trace(build: Build, samples: Samples, sample: int, folder: Path) -> bytes:
    """Every layer's outputs of the host C at `sample`, back to back.

    All layers run, whole and one by one, with the build's kernels: a fault in a schedule by rows, or in what runs by a
    flag, shows in no layer.
    """
    plan = plan_layers(build.graph, build.rounding, guarded=False)
    items = build.report["in_ram"]["items"]
    places = RamPlaces(frozenset(name for item in items if item["kind"] == "weights" for name in item["names"]))
    project = generate_sources(build.graph, plan, build.name, build.rounding, places)
    main = render_trace_main(build.graph, plan, build.name, build.rounding)
    for file, text in {**project.files, "trace_main.c": main}.items():
        (folder / file).write_text(_own_text(build, file, project.files) or text, encoding="utf-8")
    sources = sorted(folder.glob("thimble_*.c")) + sorted(folder.glob(f"{build.name}_weights.c"))
    command = ["cc", *HOST_CFLAGS, f"-I{folder}", str(folder / "trace_main.c"), *map(str, sources)]
    subprocess.run([*command, "-o", str(folder / "trace")], check=True, capture_output=True)
    first = 0 if build.graph.states else sample
    raw = b"".join(array.tobytes() for i in range(first, sample + 1) for array in samples.sample(i))
    (folder / "inputs.bin").write_bytes(raw)
    subprocess.run(["./trace", "inputs.bin", "outputs.bin"], cwd=folder, check=True, capture_output=True)
    size = sum(build.graph.values[v].type.bytes for node in build.graph.nodes for v in node.outputs)
    return (folder / "outputs.bin").read_bytes()[-size:]


def _own_text(build: Build, file: str, generated: Mapping[str, str]) -> str | None:
    """The build's own kernel, or its weights where they stand under the same names; None for all other files."""
    header = f"{build.name}_weights.h"
    is_same = {f"{build.name}_weights.c": _text(build.folder / header) == generated.get(header)}
    return _text(build.folder / file) if is_same.get(file, file.startswith("thimble_")) else None


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _layer(build: Build, step: int, got: Array, expected: Array) -> dict[str, Any]:
    different = np.flatnonzero(got.reshape(-1) != expected.reshape(-1))
    site = build.graph.sites[step]
    return {
        "index": step,
        "op": site.op.name,
        "source": site.source,
        "differing_elements": int(different.size),
        "element": int(different[0]) if different.size else None,
        "expected": float(expected.reshape(-1)[different[0]]) if different.size else None,
        "got": float(got.reshape(-1)[different[0]]) if different.size else None,
    }
