"""The options that several verbs share, and what they mean to the stages."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import click

from thimble.codegen.kernels import KernelFamily
from thimble.compiler.driver.options import (
    CompileOptions,
    InputFeed,
    Io,
    QuantizeOptions,
    Regions,
    choose,
    parse_bytes,
    parse_input_shape,
)
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.options import Objective, Schedule

F = TypeVar("F", bound=Callable[..., Any])


def verb(function: F) -> F:
    """Options that every verb has."""
    function = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")(function)
    return click.option("-q", "--quiet", is_flag=True, help="Print errors only (and JSON with --json).")(function)


def choice(flag: str, kind: type[Enum], text: str, name: str | None = None) -> Callable[[F], F]:
    """An option whose values are those of an enumeration, the first of them by default."""
    values = [str(member.value) for member in kind]
    names = (flag,) if name is None else (flag, name)
    return click.option(*names, type=click.Choice(values), default=values[0], show_default=True, help=text)


def model_options(function: F) -> F:
    """Options of the verbs that take a model."""
    for option in reversed(
        (
            click.argument("model", type=click.Path(path_type=Path)),
            click.option("-t", "--target", required=True, help="The chip; `thimble targets` lists them."),
            click.option("--name", help="Prefix of the generated C names and files; default: from the file's name."),
            click.option("--max-sram", metavar="SIZE", help="Most SRAM the firmware may use, such as 64K."),
            click.option("--max-flash", metavar="SIZE", help="Most flash the firmware may use, such as 256K."),
            click.option(
                "--max-ms",
                type=click.FloatRange(min=0, min_open=True),
                metavar="MS",
                help="Most milliseconds of an inference, as predicted when planning and as simulated.",
            ),
            choice("--rounding", Rounding, "Whose bytes to follow: TFLite Micro's, or LiteRT's BUILTIN_REF."),
            choice("--schedule", Schedule, "What is best, or layers whole, by rows, or by rows of patches and strips."),
            choice("--objective", Objective, "What the plan is to be good for."),
            choice("--input", InputFeed, "The input whole in SRAM, or pulled by rows through a callback.", name="feed"),
            choice("--io", Io, "Take and give the model's own tensors, or the integers behind its conversions."),
            choice("--regions", Regions, "The arena over several memories where that helps, or in one block."),
            click.option(
                "--fast-weights",
                metavar="SIZE",
                help="Most bytes of constants that are copied to fast RAM, with --tune of code too; 0 for none.",
            ),
            choice("--kernels", KernelFamily, "The chip's own kernels where there are any, or portable C everywhere."),
            click.option(
                "--tune",
                is_flag=True,
                help="Measure the kernels that each layer can have; the fastest is taken. With --objective latency or "
                "--fast-weights, weights and code lie in RAM where that saves cycles.",
            ),
            click.option(
                "--plan-time", type=click.FloatRange(min=0), metavar="SECONDS", help="Seconds to search for a layout."
            ),
            click.option(
                "--input-shape",
                "input_shapes",
                multiple=True,
                metavar="NAME=1x3x32x32",
                help="Shape of an ONNX input with dynamic dimensions; can be given several times.",
            ),
            click.option(
                "--disable-pass",
                "disabled_passes",
                multiple=True,
                metavar="NAME",
                hidden=True,
                help="Leave out a graph rewrite, to see what it brings; can be given several times.",
            ),
        )
    ):
        function = option(function)
    return function


def compile_options(
    max_sram: str | None,
    max_flash: str | None,
    feed: str,
    fast_weights: str | None,
    plan_time: float | None,
    input_shapes: tuple[str, ...],
    max_drop: float | None = None,
    quantize: QuantizeOptions | None = None,
    **choices: Any,
) -> CompileOptions:
    """The options of a model's verbs as the stages take them."""
    return CompileOptions(
        max_sram_bytes=None if max_sram is None else parse_bytes(max_sram),
        max_flash_bytes=None if max_flash is None else parse_bytes(max_flash),
        max_drop_percent=max_drop,
        input=choose(InputFeed, feed, "--input"),
        fast_weights_bytes=None if fast_weights is None else 0 if fast_weights == "0" else parse_bytes(fast_weights),
        plan_time_s=plan_time,
        quantize=quantize,
        input_shapes=tuple(map(parse_input_shape, input_shapes)),
        **choices,
    )


def place_options(function: F) -> F:
    """Options of the verbs that run a build."""
    function = click.option(
        "--on",
        type=click.Choice(["host", "target", "both"]),
        default="both",
        show_default=True,
        help="Run the C on this machine, the firmware on the simulated chip, or both.",
    )(function)
    return click.option("--samples", type=click.IntRange(min=1), help="Take the first N samples only.")(function)
