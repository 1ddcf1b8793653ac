"""The command line's options for quantization, shared by the verbs that can quantize."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from thimble.compiler.driver.options import QuantizeOptions
from thimble.compiler.ir.errors import UsageError
from thimble.quantize.quantizer import Method

F = TypeVar("F", bound=Callable[..., Any])


def quantize_options(required: bool) -> Callable[[F], F]:
    """Options of the verbs that can quantize a float model; in one of them it is all they do."""

    def add(function: F) -> F:
        for option in reversed(
            (
                click.option(
                    "--quantize" if not required else "--method",
                    "method",
                    type=click.Choice([m.value for m in Method]),
                    default=Method.FAST.value if required else None,
                    show_default=required,
                    help="Quantize a float model to int8: in seconds, or as well as minutes of learning can.",
                ),
                click.option(
                    "--calibration",
                    type=click.Path(path_type=Path),
                    required=required,
                    help="What to calibrate on: an .npz (x, or keyed by input name) or a folder of .npy.",
                ),
                click.option(
                    "--data",
                    type=click.Path(path_type=Path),
                    help="An .npz with x and y to compare the accuracy of float and integers on.",
                ),
                click.option("--symmetric", is_flag=True, help="Zero points of 0 for all activations."),
                click.option(
                    "--activations",
                    type=click.Choice(["int8", "int16"]),
                    default="int8",
                    show_default=True,
                    help="Type of all activations; weights are int8.",
                ),
            )
        ):
            function = option(function)
        return function

    return add


def quantization(
    method: str | None,
    calibration: Path | None,
    data: Path | None,
    symmetric: bool,
    activations: str,
    max_drop: float | None,
) -> QuantizeOptions | None:
    """How to quantize; None where it is not asked for. Raises UsageError for options that need one another."""
    if method is None:
        if calibration is not None or data is not None or symmetric or activations != "int8":
            raise UsageError("--calibration, --data, --symmetric and --activations go with --quantize fast or best.")
        return None
    if calibration is None:
        raise UsageError(f"--quantize {method} needs --calibration: samples of the model's input.")
    budget = max_drop if data is not None else None
    return QuantizeOptions(Method(method), calibration, data, budget, symmetric, activations == "int16")
