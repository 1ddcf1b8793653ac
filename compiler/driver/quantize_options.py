"""The command line's options for quantization, shared by the verbs that can quantize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from thimble.compiler.driver.options import QuantizeOptions, parse_bytes
from thimble.compiler.driver.quantize_search import LOW_WIDTHS, SearchKind, SearchOptions, Unit, Weights
from thimble.compiler.ir.errors import UsageError
from thimble.quantize.quantizer import Method
from thimble.quantize.vdqs import LAMBDA, PHI

F = TypeVar("F", bound=Callable[..., Any])

_SEARCH_OPTIONS = (
    click.option(
        "--search",
        type=click.Choice([kind.value for kind in SearchKind]),
        help="Fewer than 8 bits where the outputs feel it least, or as QuantMCU's patches and entropies say.",
    ),
    click.option(
        "--weights",
        type=click.Choice([kind.value for kind in Weights]),
        help="int8, or fewer bits too; alone, `mixed` narrows weights as far as --max-flash asks.",
    ),
    click.option(
        "--fewest-bits",
        type=click.Choice([str(bits) for bits in LOW_WIDTHS]),
        default="4",
        show_default=True,
        help="Fewest bits that a search may choose.",
    ),
    click.option(
        "--phi", type=click.FloatRange(0, 1), default=PHI, show_default=True, help="vdqs: what is no outlier."
    ),
    click.option(
        "--entropy-weight", type=click.FloatRange(0, 1), default=LAMBDA, show_default=True, help="vdqs: its lambda."
    ),
    click.option(
        "--vdpc",
        type=click.Choice(["position", "dynamic"]),
        default="position",
        show_default=True,
        help="vdqs: patches classed by position over the calibration set, or by their values, in the firmware.",
    ),
    click.option("--reduce", type=click.FloatRange(min=1), help="Factor by which a search makes its price lower."),
    click.option(
        "--price",
        type=click.Choice([unit.value for unit in Unit]),
        help="What --search sensitivity makes fewer; bitops with --reduce, else cycles.",
    ),
)


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
                *_SEARCH_OPTIONS,
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
    search: SearchOptions | None = None,
) -> QuantizeOptions | None:
    """How to quantize; None where it is not asked for. Raises UsageError for options that need one another."""
    if method is None and search is None:
        if calibration is not None or data is not None or symmetric or activations != "int8":
            raise UsageError("--calibration, --data, --symmetric and --activations go with --quantize fast or best.")
        return None
    if calibration is None:
        asked = "A search for bits" if method is None else f"--quantize {method}"
        raise UsageError(f"{asked} needs --calibration: samples of the model's input.")
    if search is not None and activations != "int8":
        raise UsageError("--search and --weights mixed begin with int8 activations.")
    budget = max_drop if data is not None else None
    if search is not None:
        search = replace(search, learned=method == Method.BEST.value)
    chosen = Method.FAST if method is None else Method(method)
    return QuantizeOptions(chosen, calibration, data, budget, symmetric, activations == "int16", search=search)


def search_options(given: dict[str, Any], max_flash: str | None, max_sram: str | None) -> SearchOptions | None:
    """What a search for bits is asked for, its options taken out of the `given` ones; None without one.

    Raises UsageError for options that need one another.
    """
    search, weights, reduce, price = (given.pop(name) for name in ("search", "weights", "reduce", "price"))
    fewest_bits, phi, weight = (given.pop(name) for name in ("fewest_bits", "phi", "entropy_weight"))
    by_data = given.pop("vdpc") == "dynamic"
    if by_data and search != SearchKind.VDQS.value:
        raise UsageError("--vdpc dynamic goes with --search vdqs.")
    if search is None and weights != Weights.MIXED.value:
        if reduce is not None or price is not None:
            raise UsageError(f"--{'price' if reduce is None else 'reduce'} goes with --search.")
        return None
    return SearchOptions(
        kind=None if search is None else SearchKind(search),
        fewest_bits=int(fewest_bits),
        weights=Weights.MIXED if weights is None else Weights(weights),
        reduce=reduce,
        unit=Unit(price) if price is not None else Unit.CYCLES if reduce is None else Unit.BITOPS,
        flash_bytes=None if max_flash is None else parse_bytes(max_flash),
        sram_bytes=None if max_sram is None else parse_bytes(max_sram),
        phi=phi,
        weight=weight,
        by_data=by_data,
    )
