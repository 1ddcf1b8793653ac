"""The search for mixed precision: an int8 graph to one with fewer bits where the network feels it least."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from thimble.compiler.ir.errors import AccuracyMissed, ToolMissing, UnsupportedOp
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType, QuantParams
from thimble.compiler.ops.dequantize import dequantized
from thimble.compiler.passes.remove_constant_channels import remove_constant_channels
from thimble.compiler.passes.remove_dead import remove_dead
from thimble.quantize.calibration import Calibration
from thimble.quantize.choices import (
    DTYPES,
    WIDEST,
    Bits,
    Losses,
    Price,
    Tensors,
    exchanged,
    frontier,
    lost,
    narrowable,
    widened,
)
from thimble.quantize.distill import distilled
from thimble.quantize.firmware_cost import FirmwareCost
from thimble.quantize.joint import JointSearch
from thimble.quantize.loss import loss_values, run_values
from thimble.quantize.narrow import NarrowValue, narrow
from thimble.quantize.parameters import QuantizedWeights, store
from thimble.quantize.prices import bit_operations, within_bytes
from thimble.quantize.quantizer import Progress, Say, divide
from thimble.quantize.real_form import real_form
from thimble.quantize.sensitivity import Fitted, Sensitivity, Widths, relative_error
from thimble.quantize.simulate import Grid
from thimble.quantize.weights import store_bias

SENSITIVITY_SAMPLES = 64
"""Samples on which each tensor is tried alone."""

FITTED_SAMPLES = 512
"""Samples to which the layers of a choice are fitted."""

TRIED = 3
"""Choices of which the best is taken where the price is given."""

TOLERANCE = 0.04
"""Largest squared error of the outputs, in units of their variance, that a choice may bring where nothing else limits
it. docs/quantization.md holds it beside points of accuracy."""

Drop = Callable[[Graph], float]
"""Points that an integer graph loses against the graph that the search began with."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a choice must keep to: bytes of constants and of activations (of the arena where the search knows the
    firmware), the outputs' error, points lost.

    With a `factor`, the price must fall by that, and the error is as small as it can then be. The error is
    Sensitivity.loss on samples that nothing was fitted to. `most_points` needs a `drop`.
    """

    flash_bytes: int | None = None
    sram_bytes: int | None = None
    error: float = TOLERANCE
    factor: float | None = None
    most_points: float | None = None
    drop: Drop | None = None


@dataclass(frozen=True, slots=True)
class Mixed:
    """`graph` computes with mixed precision what `source`, in int8 and without constant channels, computes.

    `steps` says what was done, in order; `error` is what the outputs lost on samples that nothing was made from.
    """

    graph: Graph
    source: Graph
    bits: Bits
    steps: tuple[str, ...]
    error: float


@dataclass
class Search:
    """The sensitivity search on one int8 graph.

    With `learned`, the choice is distilled at last (quantize/distill.py), which takes PyTorch and minutes. `price` is
    what shall be low; None keeps to the fewest changes that the limits ask for. With `cost`, bytes are those of the
    firmware, its plan included, and without a price its planned cycles shall be low. `known` is what tensors of this
    graph were measured to lose before; what is measured is added.
    """

    graph: Graph
    calibration: Calibration
    limits: Limits
    price: Price | None
    widths: Widths = field(default_factory=Widths)
    learned: bool = False
    say: Say = lambda _: None
    progress: Progress = lambda items, what, count: items
    cost: FirmwareCost | None = None
    known: dict[Widths, Losses] = field(default_factory=dict)

    def run(self) -> Mixed:
        """The cheapest choice within the limits.

        Choices on the frontier of estimated loss and price are fitted and judged one by one, by bisection. Raises
        DoesNotFit where no choice is small enough, AccuracyMissed where all that are lose too much.
        """
        tensors = self._tensors
        losses = self._losses()
        steps = [f"{len(tensors.groups)} activations and {len(tensors.layers)} layers measured alone"]
        forced = self._forced(losses)
        if self.cost is not None and self.price is None:
            return self._distilled(self._planned(forced, losses, self.cost, steps))
        choices = [forced]
        if self.price is not None:
            choices = list(dict.fromkeys(forced.at_most(bits) for bits in frontier(tensors, losses, self.price)))
        steps.append(f"{len(choices)} choices between loss and price")
        self.say(f"Fitting some of {len(choices)} choices")
        if self.price is None or self.limits.factor is None:
            return self._distilled(self._bisected(choices, steps))
        most = self.price(Bits()) / self.limits.factor
        cheap = [bits for bits in choices if self.price(bits) <= most][:TRIED]
        wide = [widened(tensors, losses, self.price, bits, most) for bits in cheap]
        least = min(wide, key=lambda bits: lost(tensors, losses, bits), default=None)
        wide += [] if least is None else [exchanged(tensors, losses, self.price, least, most)]
        return self._distilled(self._best_of(list(dict.fromkeys(forced.at_most(bits) for bits in wide)), steps))

    def _losses(self) -> Losses:
        if self.widths not in self.known:
            samples = self._fit.spread(SENSITIVITY_SAMPLES)
            measured = Sensitivity(self._real, self._tensors, self._grids, samples, self.widths, self.progress)
            self.say("Measuring what each tensor loses in fewer bits")
            self.known[self.widths] = measured.losses()
        return self.known[self.widths]

    def _forced(self, losses: Losses) -> Bits:
        """What the limits of bytes ask for at least."""
        limits, cost = self.limits, self.cost
        if cost is None:
            return within_bytes(self.graph, self._tensors, losses, limits.flash_bytes, limits.sram_bytes)
        constants = within_bytes(self.graph, self._tensors, losses, limits.flash_bytes, None, cost.constant_bytes)
        return constants if self.price is None else self._joint(losses, cost).within(constants, limits.sram_bytes)

    def _joint(self, losses: Losses, cost: FirmwareCost) -> JointSearch:
        return JointSearch(self.graph, self._tensors, losses, cost, self.limits.sram_bytes)

    def _planned(self, forced: Bits, losses: Losses, cost: FirmwareCost, steps: list[str]) -> Mixed:
        """The choice of the fewest planned cycles that is good; the last of the choices loses least."""
        self.say("Planning with fewer bits")
        choices = self._joint(losses, cost).choices(forced)
        steps.append(f"{len(choices)} choices whose plans fit")
        for bits in choices:
            judged = self._judged(bits, steps)
            if self._is_good(judged):
                return replace(judged, steps=tuple(steps))
        raise self._missed(judged)

    def _missed(self, judged: Mixed) -> AccuracyMissed:
        return AccuracyMissed(
            f"The outputs lose {judged.error:.3g} of their variance with the fewest changes that the limits allow, "
            f"more than {self.limits.error:g}, or too many points: allow more bytes or more loss."
        )

    def _distilled(self, chosen: Mixed) -> Mixed:
        """The same bits with weights and ranges learned by distillation, where these lose less on samples held back."""
        if not self.learned or chosen.bits == Bits():
            return chosen
        self.say("Distilling into fewer bits")
        try:
            fitted = distilled(self._fitter, self._fitter.fitted(chosen.bits), self._fit, self.progress)
        except (ToolMissing, UnsupportedOp) as reason:
            return replace(chosen, steps=(*chosen.steps, f"distillation left out: {reason}"))
        made = applied(self.graph, fitted)
        error = relative_error(self._outputs(made), self._wanted)
        kept = error < chosen.error
        step = f"distillation: {error:.3g} lost{'' if kept else ', not kept'}"
        found = replace(chosen, graph=remove_dead(made), error=error) if kept else chosen
        return replace(found, steps=(*chosen.steps, step))

    def _best_of(self, choices: list[Bits], steps: list[str]) -> Mixed:
        """The choice that loses least on samples held back."""
        if not choices:
            raise AccuracyMissed(f"No choice of bits brings the price down by a factor of {self.limits.factor:g}.")
        best = min((self._judged(bits, steps) for bits in choices), key=lambda judged: judged.error)
        return replace(best, steps=tuple(steps))

    def _bisected(self, choices: list[Bits], steps: list[str]) -> Mixed:
        """The last good one of choices that lose more and more; the first of them is tried first."""
        best = self._judged(choices[0], steps)
        if not self._is_good(best):
            raise self._missed(best)
        low, high = 1, len(choices) - 1
        while low <= high:
            middle = (low + high) // 2
            judged = self._judged(choices[middle], steps)
            if self._is_good(judged):
                best, low = judged, middle + 1
            else:
                high = middle - 1
        return replace(best, steps=tuple(steps))

    def _is_good(self, judged: Mixed) -> bool:
        if self.limits.most_points is not None and self.limits.drop is not None:
            return self.limits.drop(judged.graph) <= self.limits.most_points
        return judged.error <= self.limits.error

    def _judged(self, bits: Bits, steps: list[str]) -> Mixed:
        """A choice fitted, its integers run on samples that nothing was fitted to."""
        if bits == Bits():
            return Mixed(self.graph, self.graph, bits, tuple(steps), 0.0)
        made = applied(self.graph, self._fitter.fitted(bits))
        error = relative_error(self._outputs(made), self._wanted)
        price = bit_operations(self.graph)
        factor = price(Bits()) / price(bits)
        steps.append(f"{factor:.2f} times fewer bit operations: {error:.3g} of the outputs' variance lost")
        self.say(steps[-1])
        return Mixed(remove_dead(made), self.graph, bits, tuple(steps), error)

    @cached_property
    def _real(self) -> Graph:
        return real_form(self.graph)

    @cached_property
    def _points(self) -> tuple[int, ...]:
        return loss_values(self._real)

    @cached_property
    def _grids(self) -> dict[int, Grid]:
        return settled_grids(self.graph)

    @cached_property
    def _tensors(self) -> Tensors:
        return narrowable(self.graph, self._real, self._points)

    @cached_property
    def _fit(self) -> Calibration:
        return divide(self.calibration)[1]

    @cached_property
    def _held(self) -> Calibration:
        return divide(self.calibration)[0]

    @cached_property
    def _fitter(self) -> Sensitivity:
        samples = self._fit.spread(FITTED_SAMPLES)
        return Sensitivity(self._real, self._tensors, self._grids, samples, self.widths, self.progress)

    @cached_property
    def _wanted(self) -> list[Array]:
        return self._outputs(self.graph)

    def _outputs(self, graph: Graph) -> list[Array]:
        """What is compared, as real numbers, of an integer graph over the samples held back."""
        types = [graph.values[i].type for i in graph.inputs]
        inputs = [
            x if t.quant is None else store(x, t.quant, t.dtype) for x, t in zip(self._held.inputs, types, strict=True)
        ]
        found = run_values(graph, inputs, self._points)
        kinds = [graph.values[i].type for i in self._points]
        return [x if k.quant is None else dequantized(x, k.quant) for x, k in zip(found, kinds, strict=True)]


def reduced(graph: Graph) -> Graph:
    """The graph without channels that are constant whatever the input: their bits would count for nothing."""
    return remove_dead(remove_constant_channels(remove_dead(graph)))


def settled_grids(graph: Graph) -> dict[int, Grid]:
    """The 8-bit grid of each activation of an integer graph."""
    return {
        i: Grid(WIDEST, value.quant.scale, value.quant.zero_point)
        for i, value in enumerate(graph.values)
        if value.data is None and value.type.dtype is DType.INT8 and value.type.quant is not None
    }


def applied(graph: Graph, fitted: Fitted) -> Graph:
    """The integer graph of a choice, made of the int8 graph that it was searched on; its values keep their indices."""
    weights = {}
    for position, made in fitted.weights.items():
        assert made.layer.bias is not None
        bias = store_bias(made.layer.bias, graph.sites[position].input(0).quant.scale, made.scales)
        weights[position] = QuantizedWeights(made.data, made.scales.astype(np.float32), bias, DTYPES[made.bits])
    before = settled_grids(graph)
    values = {
        i: NarrowValue(DTYPES[grid.bits], QuantParams((grid.scale,), (grid.zero_point,)))
        for i, grid in fitted.grids.items()
        if grid != before[i]
    }
    return narrow(graph, weights, values).graph
