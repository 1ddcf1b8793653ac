"""QuantMCU's search made a graph: patches as tensors of their own, those without outliers in fewer bits."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import QuantParams
from thimble.compiler.passes.remove_dead import remove_dead
from thimble.quantize.calibration import Calibration
from thimble.quantize.choices import DTYPES
from thimble.quantize.mixed import SENSITIVITY_SAMPLES, settled_grids
from thimble.quantize.narrow import NarrowValue, narrow
from thimble.quantize.observers import Histogram, Observer, choose_range
from thimble.quantize.patched import Classing, patched
from thimble.quantize.patches import PatchStage, patch_stage
from thimble.quantize.quantizer import Say
from thimble.quantize.real_form import real_form
from thimble.quantize.sensitivity import grid_over
from thimble.quantize.simulate import Grid, Precision, Simulation
from thimble.quantize.vdqs import LAMBDA, PHI, PatchChoice, PatchSearch


@dataclass(frozen=True, slots=True)
class PatchMixed:
    """`graph` computes patch by patch what `source` computes in int8.

    Patches are classed by their position, or each by its values where `choice.by_data`: then the graph has flags and
    two branches for them.
    """

    graph: Graph
    source: Graph
    stage: PatchStage
    choice: PatchChoice


def narrow_patches(
    graph: Graph,
    calibration: Calibration,
    widths: tuple[int, ...],
    sram_bytes: int | None = None,
    weight: float = LAMBDA,
    phi: float = PHI,
    by_data: bool = False,
    say: Say = lambda _: None,
) -> PatchMixed:
    """Search an int8 graph and write its patches out. Raises UnsupportedOp for one without a stage of patches."""
    stage = patch_stage(graph)
    say(f"Classing {len(stage.areas)} patches behind {graph.values[stage.split].name!r}")
    grids = settled_grids(graph)
    samples = calibration.spread(SENSITIVITY_SAMPLES)
    arrays = Simulation(real_form(graph), samples, Precision(grids)).arrays
    made = [stage.split, *(i for position in stage.nodes for i in graph.nodes[position].outputs)]
    few = {(i, bits): _few_bits(arrays[i], bits) for i in made for bits in widths}
    narrowed = {key: grid.nearest(arrays[key[0]]) for key, grid in few.items()}
    maps = {i: arrays[i] for i in made}
    choice = PatchSearch(graph, stage, maps, narrowed, widths, sram_bytes, weight, phi, by_data).run()
    written = patched(graph, stage, _classing(choice))
    values = {
        written.others.get(number, branch)[i]: _narrow_value(few[i, bits], bits)
        for number, (branch, chosen) in enumerate(zip(written.branches, choice.bits, strict=True))
        for i, bits in chosen.values.items()
    }
    return PatchMixed(remove_dead(narrow(written.graph, {}, values).graph), graph, stage, choice)


def _classing(choice: PatchChoice) -> Classing | None:
    """Which patches get two branches: those that would have fewer bits without outliers."""
    narrowed = {number: tuple(bits.values) for number, bits in enumerate(choice.bits) if bits.values}
    return Classing(*choice.limits, narrowed) if choice.by_data else None


def _narrow_value(grid: Grid, bits: int) -> NarrowValue:
    return NarrowValue(DTYPES[bits], QuantParams((grid.scale,), (grid.zero_point,)))


def _few_bits(values: Array, bits: int) -> Grid:
    """The grid of least squared error."""
    return grid_over(choose_range(Histogram.of(values), Observer.MSE, 1 << bits), bits)
