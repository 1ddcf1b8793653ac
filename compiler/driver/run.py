"""Running a build's C on the host and its firmware on the simulated target."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thimble.compiler.driver.build_folder import Build, open_build, write_report
from thimble.compiler.driver.data import Samples, load_samples, random_samples, save_outputs, split_outputs
from thimble.compiler.driver.latency import merge_trace
from thimble.compiler.ir.errors import OutputsDiffer, ThimbleError, UsageError
from thimble.compiler.ir.operator import Array
from thimble.targets import tools
from thimble.targets.sim.simulate import simulate, time_limit_s
from thimble.targets.sim.trace import Trace

Outputs = list[list[Array]]  # samples by outputs
Say = Callable[[str], None]

HOST, TARGET, BOTH = "host", "target", "both"
_SANITIZER_ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


def places(on: str) -> tuple[str, ...]:
    """The places that `--on` names, in the order in which they run."""
    known = {HOST: (HOST,), TARGET: (TARGET,), BOTH: (HOST, TARGET)}
    if on not in known:
        raise UsageError(f"'{on}' is no place to run; it is host, target or both.")
    return known[on]


def open_samples(build: Build, data: Path | None, limit: int | None) -> Samples:
    """The first `limit` samples of an .npz, or random ones where none is given."""
    if data is None:
        return random_samples(build.graph, limit)
    return load_samples(data, build.graph, limit, build.interface)


def build_host(build: Build) -> Path:
    """Compile the build's C for this machine with ASan and UBSan; the program's path."""
    tools.require("make")
    tools.require("cc")
    done = subprocess.run(
        ["make", "-C", str(build.folder), "-j2", "--no-print-directory", "host"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")},
    )
    if done.returncode != 0:
        raise ThimbleError(f"The generated C does not compile on this machine:\n{done.stderr[:2000]}")
    return build.folder / "build" / f"{build.name}_host"


def run_host(build: Build, samples: Samples) -> Outputs:
    """Outputs of the C on this machine. Raises ThimbleError with the sanitizer's words where it finds a fault."""
    program = build_host(build).resolve()
    with tempfile.TemporaryDirectory() as folder:
        return run_program([str(program)], build, samples, Path(folder))


def run_program(command: list[str], build: Build, samples: Samples, folder: Path) -> Outputs:
    """Outputs of a host program that takes an input and an output file."""
    (folder / "inputs.bin").write_bytes(samples.raw())
    done = subprocess.run(
        [*command, "inputs.bin", "outputs.bin"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, **_SANITIZER_ENVIRONMENT},
    )
    if done.returncode != 0:
        raise ThimbleError(f"The C on this machine stopped with code {done.returncode}:\n{done.stderr[:2000]}")
    return split_outputs((folder / "outputs.bin").read_bytes(), build.graph)


def run_target(build: Build, samples: Samples, timed: bool = False) -> tuple[Outputs, Trace]:
    """Outputs of the firmware on the simulated chip, and what the simulator measured; `timed` asks for cycles."""
    if not build.sim_elf.is_file():
        raise UsageError(f"{build.folder} lacks its firmware {build.sim_elf.name}; compile again.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inputs.bin").write_bytes(samples.raw())
        limit_s = time_limit_s(build.target, len(samples))
        trace = simulate(build.sim_elf, build.target, folder, limit_s, timed=timed)
        outputs = split_outputs((folder / "outputs.bin").read_bytes(), build.graph)
    if len(outputs) != len(samples):
        raise ThimbleError(f"The simulated firmware gave {len(outputs)} outputs for {len(samples)} samples.")
    return outputs, trace


def run_build(
    folder: Path, inputs: Path, outputs: Path, on: str = BOTH, limit: int | None = None, say: Say = lambda _: None
) -> dict[str, Any]:
    """`thimble run`: inputs from an .npz, outputs to another; with both places, they must agree (OutputsDiffer)."""
    build = open_build(folder)
    samples = open_samples(build, inputs, limit)
    results: dict[str, Outputs] = {}
    for place in places(on):
        say(f"Running {len(samples)} samples on the {place}")
        if place == HOST:
            results[HOST] = run_host(build, samples)
        else:
            results[TARGET], trace = run_target(build, samples)
            merge_trace(build.report, trace)
            write_report(folder, build.report)
    if len(results) == 2 and not _equal(results[HOST], results[TARGET]):
        raise OutputsDiffer("Host and simulated target give different outputs; `thimble verify` says where they part.")
    save_outputs(outputs, build.graph, next(reversed(results.values())))
    return {"samples": len(samples), "on": list(results), "outputs": str(outputs), "report": build.report}


def _equal(first: Outputs, second: Outputs) -> bool:
    return all(
        a.tobytes() == b.tobytes()
        for left, right in zip(first, second, strict=True)
        for a, b in zip(left, right, strict=True)
    )
