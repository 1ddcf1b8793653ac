"""Verilates the SoC on first use, and keeps the simulator by the hash of its sources and tools."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thimble.compiler.ir.errors import ThimbleError, ToolMissing
from thimble.targets import tools
from thimble.targets.sim.cache import cache_dir, made_cache_dir

RTL_DIR = Path(__file__).parent / "rtl"
TESTBENCH_DIR = Path(__file__).parent / "testbench"
PACKAGE = "pythondata_cpu_ibex"

# Value of the SoC's parameter MaxPerf by lowRISC's name of the configuration.
CONFIGURATIONS = {"small": 0, "maxperf": 1}

# What these configurations need of Ibex's sources; packages first, as SystemVerilog demands.
_PRIM = "vendor/lowrisc_ip/ip/prim/rtl"
_PACKAGES = (f"{_PRIM}/prim_ram_1p_pkg.sv", f"{_PRIM}/prim_secded_pkg.sv", "rtl/ibex_pkg.sv")
_MODULES = (
    *("alu", "compressed_decoder", "controller", "core", "counter", "cs_registers", "csr", "decoder", "ex_block"),
    *("fetch_fifo", "id_stage", "if_stage", "load_store_unit", "multdiv_fast", "prefetch_buffer"),
    *("register_file_ff", "top", "wb_stage"),
)
# Copied to a folder of their own: beside them lie modules that Verilator would pick up and that need more packages.
_INCLUDES = (
    *(f"{_PRIM}/prim_assert.sv", f"{_PRIM}/prim_assert_dummy_macros.svh", f"{_PRIM}/prim_assert_sec_cm.svh"),
    *(f"{_PRIM}/prim_flop_macros.sv", "vendor/lowrisc_ip/dv/sv/dv_utils/dv_fcov_macros.svh"),
)
# The RISC-V Formal Interface tells the retired instructions. SYNTHESIS leaves out what only checks the core.
_VERILATE = (
    *("--cc", "--exe", "--top-module", "ibex_soc", "-DSYNTHESIS", "-DRVFI", "-Wno-fatal", "-Wno-lint"),
    *("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert"),
)
_CXX_FLAGS = "-std=c++17 -Wall -Wextra"
# Verilator's own default is -Os, at half the speed.
_MAKE = ("OPT_FAST=-O3", "OPT_GLOBAL=-O2")


@dataclass(frozen=True, slots=True)
class Sources:
    """All files of a simulator: SystemVerilog in the order in which Verilator reads it, include files, C++."""

    systemverilog: tuple[Path, ...]
    includes: tuple[Path, ...]
    cplusplus: tuple[Path, ...]
    headers: tuple[Path, ...]


def simulator_path(configuration: str) -> Path:
    """Path of the built simulator of "small" or "maxperf"; it is built first (half a minute) where it is not there.

    Raises ToolMissing without Verilator, a C++ compiler, make or the Ibex sources; UsageError where the cache folder
    cannot be written; ThimbleError where a build fails.
    """
    if configuration not in CONFIGURATIONS:
        raise ThimbleError(f"Ibex has no configuration '{configuration}': there are {', '.join(CONFIGURATIONS)}.")
    verilator, make = tools.require("verilator"), tools.require("make")
    tools.require("c++")
    sources = find_sources()
    folder = cache_dir()
    simulator = folder / f"ibex-{configuration}-{_digest(sources)}"
    if simulator.is_file():
        return simulator
    with _only_one(made_cache_dir() / "ibex.lock"):
        if not simulator.is_file():
            with tempfile.TemporaryDirectory(prefix="thimble-ibex-build-") as scratch:
                built = _build(verilator, make, sources, configuration, Path(scratch))
                # Moved into its place in one step, for those that look without the lock.
                beside = simulator.with_suffix(".new")
                shutil.copy(built, beside)
                beside.replace(simulator)
    return simulator


def find_sources() -> Sources:
    """The simulator's files, with those of the package pythondata-cpu-ibex. Raises ToolMissing where it is absent."""
    ibex = ibex_folder()
    return Sources(
        systemverilog=(
            *(ibex / path for path in _PACKAGES),
            *sorted(RTL_DIR.glob("*.sv")),
            *(ibex / "rtl" / f"ibex_{name}.sv" for name in _MODULES),
        ),
        includes=tuple(ibex / path for path in _INCLUDES),
        cplusplus=tuple(sorted(TESTBENCH_DIR.glob("*.cpp"))),
        headers=tuple(sorted(TESTBENCH_DIR.glob("*.hpp"))),
    )


def ibex_folder() -> Path:
    """The root of the Ibex repository as the Python package ships it. Raises ToolMissing where it is absent."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ToolMissing(
            "The sources of the Ibex core are not installed. Install them with: pip install 'thimble[ibex]'"
        )
    return Path(spec.origin).parent / "system_verilog"


def _digest(sources: Sources) -> str:
    """Names of everything that the simulator is made from and by."""
    digest = hashlib.sha256(repr((_VERILATE, _CXX_FLAGS, _MAKE)).encode())
    for tool in ("verilator", "c++"):
        digest.update(f"{tool} {tools.version_of(tool)}\n".encode())
    for path in (*sources.systemverilog, *sources.includes, *sources.cplusplus, *sources.headers):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Two first uses at once: the second waits for the first's result."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(verilator: Path, make: Path, sources: Sources, configuration: str, scratch: Path) -> Path:
    """Build in `scratch`, from copies: make does not stand a space in the path of a source."""
    for folder, paths in (
        ("include", (*sources.includes, *sources.headers)),
        ("source", (*sources.systemverilog, *sources.cplusplus)),
    ):
        (scratch / folder).mkdir()
        for path in paths:
            shutil.copy(path, scratch / folder)
    files = [f"source/{path.name}" for path in (*sources.systemverilog, *sources.cplusplus)]
    options = [f"-GMaxPerf={CONFIGURATIONS[configuration]}", "-CFLAGS", f"{_CXX_FLAGS} -I../include"]
    places = ["--Mdir", "objects", "-o", "ibex_sim", "+incdir+include"]
    _call([str(verilator), *_VERILATE, *options, *places, *files], scratch)
    _call([str(make), "-C", "objects", "-f", "Vibex_soc.mk", f"-j{os.cpu_count() or 1}", *_MAKE], scratch)
    return scratch / "objects" / "ibex_sim"


def _call(command: list[str], folder: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", check=False, env=environment
    )
    if run.returncode != 0:
        words = (run.stderr.strip() or run.stdout.strip())[:2000]
        raise ThimbleError(f"The Ibex simulator does not build here, {Path(command[0]).name} says:\n{words}")
