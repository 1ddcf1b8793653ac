"""`--search` and `--weights mixed`: fewer bits for an int8 model, and what they bought of each tensor."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from thimble.compiler.driver.narrow_choice import NarrowKind
from thimble.compiler.ir.errors import AccuracyMissed, UsageError
from thimble.compiler.ir.graph import Graph
from thimble.quantize.calibration import Calibration
from thimble.quantize.choices import WIDEST, Bits, Losses
from thimble.quantize.firmware_cost import Firmware, FirmwareCost, Planned
from thimble.quantize.mixed import Drop, Limits, Mixed, Search, reduced
from thimble.quantize.patch_precision import PatchMixed, narrow_patches
from thimble.quantize.prices import bit_operations, weight_bytes
from thimble.quantize.quantizer import Progress, Say
from thimble.quantize.sensitivity import Widths
from thimble.quantize.vdqs import LAMBDA, PHI, PatchChoice

LOW_WIDTHS = {4: (4,), 2: (4, 2)}
"""Numbers of bits that may be chosen, by the fewest that the user allows."""


class SearchKind(Enum):
    """How bits are chosen: by what the outputs lose, or by QuantMCU's entropy score on patches."""

    SENSITIVITY = "sensitivity"
    VDQS = "vdqs"


class Unit(Enum):
    """What a search by sensitivity makes fewer: bit operations, or estimated cycles of the planned firmware."""

    BITOPS = "bitops"
    CYCLES = "cycles"


class Weights(Enum):
    """Types of weights: int8 throughout, or fewer bits where flash asks for it."""

    INT8 = "int8"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What the user may choose of a search. `reduce` is the factor by which the price must fall, in its `unit`.

    Without `kind`, weights alone are narrowed, no more than `flash_bytes` of constants asks for. Without `activations`
    they stay in 8 bits. `sram_bytes` bounds the planned arena where the unit is cycles, and live activations where it
    is bit operations. With `by_data`, patches of vdqs are classed by their values, in the firmware.
    """

    kind: SearchKind | None
    fewest_bits: int = 4
    weights: Weights = Weights.MIXED
    reduce: float | None = None
    unit: Unit = Unit.CYCLES
    flash_bytes: int | None = None
    sram_bytes: int | None = None
    learned: bool = False
    phi: float = PHI
    weight: float = LAMBDA
    activations: bool = True
    by_data: bool = False

    def without(self, kinds: Collection[NarrowKind]) -> SearchOptions | None:
        """The same search that leaves these in 8 bits; None where nothing is left to search for."""
        weights = self.weights is Weights.MIXED and NarrowKind.WEIGHTS not in kinds
        activations = self.kind is not None and self.activations and NarrowKind.ACTIVATIONS not in kinds
        if not activations and (not weights or self.kind is SearchKind.VDQS):
            return None
        return replace(self, weights=Weights.MIXED if weights else Weights.INT8, activations=activations)

    @property
    def takes_sram(self) -> bool:
        """Whether the search narrows activations until a plan fits."""
        return self.kind is SearchKind.SENSITIVITY and self.unit is Unit.CYCLES


@dataclass(frozen=True, slots=True)
class Searched:
    """The graph that a search made of one of int8, what it did, and what report.json says of its bits."""

    graph: Graph
    steps: tuple[str, ...]
    report: dict[str, Any]


def search_bits(
    graph: Graph,
    calibration: Calibration,
    options: SearchOptions,
    most_points: float | None,
    drop: Drop | None,
    say: Say,
    progress: Progress,
    firmware: Firmware,
    known: dict[Widths, Losses],
) -> Searched:
    """Mixed precision for an int8 graph; raises the ThimbleError of what stops it.

    `known` is what tensors of the graph were measured to lose before; what is measured is added.
    """
    if options.kind is SearchKind.VDQS:
        return _search_patches(graph, calibration, options, most_points, drop, say)
    source = reduced(graph)
    cost = FirmwareCost(source, firmware)
    mixed = _search_tensors(source, cost, calibration, options, most_points, drop, say, progress, known)
    return Searched(mixed.graph, mixed.steps, precision_report(graph, mixed, cost, options.sram_bytes))


def _search_patches(
    graph: Graph,
    calibration: Calibration,
    options: SearchOptions,
    most_points: float | None,
    drop: Drop | None,
    say: Say,
) -> Searched:
    """QuantMCU's search; what it finds is measured, not mended: it has no second choice."""
    if options.reduce is not None or options.flash_bytes is not None or options.weights is not Weights.MIXED:
        raise UsageError("--search vdqs leaves weights in 8 bits and takes no other limit than --max-sram.")
    low = LOW_WIDTHS[options.fewest_bits]
    found = narrow_patches(
        reduced(graph), calibration, low, options.sram_bytes, options.weight, options.phi, options.by_data, say
    )
    if most_points is not None and drop is not None and drop(found.graph) > most_points:
        raise AccuracyMissed(f"The patches of --search vdqs lose more than the {most_points:g} points allowed.")
    choice, before = found.choice, bit_operations(found.source)(Bits())
    return Searched(found.graph, _patches_steps(choice, before), _patches_report(graph, found))


def _patches_steps(choice: PatchChoice, before: float) -> tuple[str, ...]:
    """What a search over patches found, in words; `before` are the bit operations layer by layer."""
    marked, count = sum(choice.outliers), len(choice.bits)
    if choice.by_data:
        classed = f"{count} patches, {count - marked} of them classed by their values in the firmware"
        worst = f"at worst, where all patches have outliers, {choice.by_patches / choice.worst:.2f} times"
    else:
        classed = f"{count} patches, {marked} of them with outliers"
        worst = f"were classes told at run time: {choice.by_patches / choice.mean_by_data:.2f} times in the mean"
    return (
        classed,
        f"{choice.by_patches / choice.chosen:.2f} times fewer bit operations than by patches in 8 bits, "
        f"{before / choice.chosen:.2f} times fewer than layer by layer" + ", in the mean" * choice.by_data,
        worst,
    )


def _patches_report(before: Graph, found: PatchMixed) -> dict[str, Any]:
    """Counts of bit operations and the classes and bits of all patches."""
    choice, source = found.choice, found.source
    name = source.values
    return {
        "bit_operations": {
            "given": int(bit_operations(before)(Bits())),
            "without_constant_channels": int(bit_operations(source)(Bits())),
            "by_patches": round(choice.by_patches),
            "mixed": round(choice.chosen),
            "classes_by_data_mean": round(choice.mean_by_data),
            "classes_by_data_worst": round(choice.by_patches),
            "worst": round(choice.worst),
        },
        "constant_bytes": {
            "given": int(weight_bytes(before)(Bits())),
            "without_constant_channels": int(weight_bytes(source)(Bits())),
            "mixed": int(weight_bytes(found.graph)(Bits())),
        },
        "classes": "dynamic" if choice.by_data else "position",
        "range_without_outliers": list(choice.limits),
        "split": name[found.stage.split].name,
        "merge": name[found.stage.merge].name,
        "patches": [
            {
                "rows": list(area[0]),
                "columns": list(area[1]),
                "outliers": outlier,
                "samples_with_outliers": share,
                "bits": {name[i].name: b for i, b in sorted(bits.values.items())},
            }
            for area, outlier, share, bits in zip(
                found.stage.areas, choice.outliers, choice.outlying, choice.bits, strict=True
            )
        ],
        "tensors": [],
    }


def _search_tensors(
    graph: Graph,
    cost: FirmwareCost,
    calibration: Calibration,
    options: SearchOptions,
    most_points: float | None,
    drop: Drop | None,
    say: Say,
    progress: Progress,
    losses: dict[Widths, Losses],
) -> Mixed:
    if options.kind is None and options.flash_bytes is None:
        raise UsageError("--weights mixed needs --max-flash, or --search to say what else is wanted.")
    low = LOW_WIDTHS[options.fewest_bits]
    widths = Widths(
        low if options.kind is not None and options.activations else (),
        () if options.weights is Weights.INT8 else low,
    )
    error = float("inf") if options.kind is None else Limits().error
    limits = Limits(options.flash_bytes, options.sram_bytes, error, options.reduce, most_points, drop)
    by_cycles = options.takes_sram
    price = None if options.kind is None else cost.cycles if by_cycles else bit_operations(graph)
    if by_cycles and options.reduce is None:
        price = None
    known = cost if by_cycles else None
    return Search(graph, calibration, limits, price, widths, options.learned, say, progress, known, losses).run()


def precision_report(before: Graph, mixed: Mixed, cost: FirmwareCost, sram_bytes: int | None) -> dict[str, Any]:
    """What report.json says of the bits: sums against the model as it came, and what each tensor's bits bought.

    Plans are those within `sram_bytes` of arena, of drafts: the build's own may differ a little.
    """
    operations, constants = bit_operations(mixed.source), weight_bytes(mixed.source)
    plans = {"without_constant_channels": Bits(), "mixed": mixed.bits}
    return {
        "bit_operations": {
            "given": int(bit_operations(before)(Bits())),
            "without_constant_channels": int(operations(Bits())),
            "mixed": int(operations(mixed.bits)),
        },
        "constant_bytes": {
            "given": int(weight_bytes(before)(Bits())),
            "without_constant_channels": int(constants(Bits())),
            "mixed": int(constants(mixed.bits)),
        },
        "planned": {name: _plan_row(cost.planned(bits, sram_bytes)) for name, bits in plans.items()},
        "error": mixed.error,
        "tensors": [*_activation_rows(mixed, cost), *_weight_rows(mixed, cost)],
    }


def _plan_row(plan: Planned) -> dict[str, int]:
    return {"arena_bytes": plan.arena_bytes, "cycles_estimate": plan.cycles}


def _activation_rows(mixed: Mixed, cost: FirmwareCost) -> list[dict[str, Any]]:
    """Narrowed activations: bytes, bit operations and cycles that go where the tensor alone goes back to 8 bits."""
    operations = bit_operations(mixed.source)
    rows = []
    for index, bits in sorted(mixed.bits.values.items()):
        kind = mixed.source.values[index].type
        pixels = kind.elements // max(kind.shape[-1], 1)
        alone = mixed.bits.with_group((index,), WIDEST)
        rows.append(
            {
                "tensor": mixed.source.values[index].name,
                "kind": "activation",
                "bits": bits,
                "saved_bytes": kind.bytes - pixels * -(-kind.shape[-1] * bits // WIDEST),
                "saved_bit_operations": int(operations(alone) - operations(mixed.bits)),
                "saved_cycles_estimate": round(cost.cycles(alone) - cost.cycles(mixed.bits)),
            }
        )
    return rows


def _weight_rows(mixed: Mixed, cost: FirmwareCost) -> list[dict[str, Any]]:
    operations, constants = bit_operations(mixed.source), weight_bytes(mixed.source)
    rows = []
    for position, bits in sorted(mixed.bits.layers.items()):
        alone = mixed.bits.with_layer(position, WIDEST)
        rows.append(
            {
                "tensor": mixed.source.sites[position].input(1).name,
                "kind": "weights",
                "bits": bits,
                "saved_bytes": int(constants(alone) - constants(mixed.bits)),
                "saved_bit_operations": int(operations(alone) - operations(mixed.bits)),
                "saved_cycles_estimate": round(cost.cycles(alone) - cost.cycles(mixed.bits)),
            }
        )
    return rows
