"""Thimble: a trained network in, verified microcontroller firmware out.

The functions mirror the command line's verbs; each returns what `--json` prints and raises a ThimbleError.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

__version__ = metadata.version("thimble")


def compile(
    model: Any, target: str, out: str | Path, *, example_inputs: Sequence[Any] = (), **options: Any
) -> dict[str, Any]:
    """Compile a model to a build folder; `options` are the fields of CompileOptions. Returns the report.

    `model` is the path of a file, or a torch.nn.Module, which `example_inputs` give the shapes of its inputs.
    """
    from thimble.compiler.driver.options import CompileOptions
    from thimble.compiler.driver.stages import compile_model

    if isinstance(model, str | Path):
        return compile_model(Path(model), target, Path(out), CompileOptions(**options))
    from thimble.compiler.driver.torch_export import export_module

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{type(model).__name__}.pt2"
        export_module(model, example_inputs, path)
        return compile_model(path, target, Path(out), CompileOptions(**options))


def quantize_model(
    model: str | Path, out: str | Path, calibration: Any, method: str = "fast", **options: Any
) -> dict[str, Any]:
    """Quantize a float model and write it as .onnx or .tflite; returns the figures of every layer (`thimble quantize`).

    `calibration` is a path, or yields arrays of samples; `options` are the further fields of QuantizeOptions. It has a
    longer name than its verb because `thimble.quantize` is the package that does it.
    """
    from thimble.compiler.driver.options import QuantizeOptions
    from thimble.compiler.driver.quantize import quantize_to
    from thimble.quantize.quantizer import Method

    return quantize_to(Path(model), Path(out), QuantizeOptions(Method(method), calibration, **options))


def analyze(model: str | Path, target: str, **options: Any) -> dict[str, Any]:
    """Whether a model fits a target, by how many bytes, and every blocker. Writes nothing."""
    from thimble.compiler.driver.analyze import analyze_model
    from thimble.compiler.driver.options import CompileOptions

    return analyze_model(Path(model), target, CompileOptions(**options))


def verify(
    build: str | Path, data: str | Path | None = None, *, on: str = "both", samples: int | None = None
) -> dict[str, Any]:
    """Compare every runtime's outputs over the data, byte by byte. Returns the report, also where they differ."""
    from thimble.compiler.driver.verify import verify_build

    return verify_build(Path(build), None if data is None else Path(data), on, samples)


def run(
    build: str | Path, inputs: str | Path, outputs: str | Path, *, on: str = "both", samples: int | None = None
) -> dict[str, Any]:
    """Run inputs from an .npz through the firmware and write its outputs to another. Returns the report."""
    from thimble.compiler.driver.run import run_build

    return run_build(Path(build), Path(inputs), Path(outputs), on, samples)


def profile(build: str | Path, data: str | Path | None = None, *, samples: int | None = None) -> dict[str, Any]:
    """Count the cycles of one inference by layer and function on the simulated chip. Returns the report."""
    from thimble.compiler.driver.profile import profile_build

    return profile_build(Path(build), None if data is None else Path(data), samples)


def report(build: str | Path) -> Path:
    """Write report.html beside report.json; its path."""
    from thimble.compiler.driver.html_report import write_html

    return write_html(Path(build))
