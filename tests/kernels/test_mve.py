"""Vector kernels give the reference's bytes, on the Cortex-M55 and, by their portable twins, on the host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.cases import draw_cases, operators_of
from tests.kernels.harness import run_on_host, run_on_target
from tests.unit.tiny_firmware import build_tiny_sources
from thimble.codegen.armv81m.select import KERNELS, specialise
from thimble.codegen.kernels import choose_kernels
from thimble.codegen.project import HOST_CFLAGS
from thimble.compiler.driver import demo
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Rounding
from thimble.runtime_c import kernel_files
from thimble.targets.model import load_target
from thimble.targets.sim.simulate import simulate

OPERATORS = (*operators_of(KERNELS), "first_conv_2d", "pointwise", "spread_depthwise")
LAYERS = (12, pytest.param(200, marks=pytest.mark.full))
TARGET = "mps3-an547"
ROUNDS = 300
INTRINSICS = Path(__file__).parent / "mve_intrinsics.c"


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_portable_twins_equal_the_reference(operator: str, layers: int, tmp_path: Path) -> None:
    """Under the sanitizers."""
    run_on_host(draw_cases(operator, layers, specialise), tmp_path)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_kernels_equal_the_reference(operator: str, layers: int, tmp_path: Path) -> None:
    run_on_target(draw_cases(operator, layers, specialise), tmp_path, load_target(TARGET))


def test_all_convolutions_of_a_model_take_vectors() -> None:
    graph = import_tflite(demo.model_path().read_bytes(), "demo")
    graph = choose_kernels(graph, load_target(TARGET))
    for lowered in (Site.lower, Site.lower_rows):
        calls = [call for site in graph.sites if site.op.rows(site) for call in lowered(site, Rounding.TFLM)]
        convolutions = [call.kernel for call in calls if "conv_2d" in call.kernel]
        assert convolutions
        assert all("_mve_" in kernel for kernel in convolutions)


def test_portable_intrinsics_equal_the_instructions(tmp_path: Path) -> None:
    """Each intrinsic of thimble_mve_portable.h gives the same bits as the instruction, on random and extreme lanes."""
    target = load_target(TARGET)
    files = kernel_files((), headers=("thimble_mve.h", "thimble_mve_portable.h"))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.c").write_text(f"#define ROUNDS {ROUNDS}\n" + INTRINSICS.read_text())
    (tmp_path / "inputs.bin").write_bytes(_lanes().tobytes())
    images = build_tiny_sources(tmp_path, target, ["main.c"])
    simulate(images.sim_elf, target, tmp_path)
    on_target = (tmp_path / "outputs.bin").read_bytes()
    flags = [flag for flag in HOST_CFLAGS if flag != "-g"]
    subprocess.run(["gcc", *flags, "main.c", "-o", "main"], cwd=tmp_path, check=True)
    subprocess.run(["./main"], cwd=tmp_path, check=True)
    on_host = (tmp_path / "outputs.bin").read_bytes()
    size = len(on_host) // ROUNDS
    assert size > 0
    wrong = np.flatnonzero(np.frombuffer(on_host, np.uint8) != np.frombuffer(on_target, np.uint8))
    assert not wrong.size, f"results {sorted({int(at) % size // 64 for at in wrong})} differ"


def _lanes() -> np.ndarray:
    """(ROUNDS, 64) bytes: random ones, small and extreme 32-bit lanes, in turns."""
    rng = np.random.default_rng(81)
    random = rng.integers(0, 256, (ROUNDS, 64)).astype(np.uint8)
    extremes = np.array([0, 1, -1, 127, -128, 255, 32767, -32768, 1 << 30, (1 << 31) - 1, -(1 << 31)], np.int64)
    edges = rng.choice(extremes, (ROUNDS, 16)).astype(np.int32).view(np.uint8)
    small = rng.integers(-40, 41, (ROUNDS, 16)).astype(np.int32).view(np.uint8)
    return np.where(
        (np.arange(ROUNDS) % 3)[:, None] == 0, random, np.where(np.arange(ROUNDS)[:, None] % 3 == 1, edges, small)
    )
