"""How much of the network's outputs each tensor loses alone in fewer bits, and choices of them fitted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.quantize.calibration import Calibration
from thimble.quantize.choices import WIDEST, Bits, Losses, Tensors
from thimble.quantize.observers import Histogram, Observer, Range, choose_range
from thimble.quantize.parameters import UNIT
from thimble.quantize.refit import NarrowWeights, rebiased, refit
from thimble.quantize.simulate import Grid, Layer, Precision, Simulation


@dataclass(frozen=True, slots=True)
class Widths:
    """Numbers of bits below 8 that may be chosen, the larger first; none where all stay in 8 bits."""

    activations: tuple[int, ...] = (4,)
    weights: tuple[int, ...] = (4,)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A choice with what was made for it: grids of all activations and, of every layer, integers and real bias."""

    bits: Bits
    grids: dict[int, Grid]
    weights: dict[int, NarrowWeights]

    @property
    def precision(self) -> Precision:
        """The same as a simulation takes it."""
        return Precision(self.grids, {p: w.layer for p, w in self.weights.items()})


@dataclass
class Sensitivity:
    """The integer network's real form over samples, in 8 bits; what is tried is compared with that."""

    real: Graph
    tensors: Tensors
    grids: dict[int, Grid]
    samples: Calibration
    widths: Widths
    progress: Any
    _reference: Simulation = field(init=False)
    _narrow: dict[tuple[int, int], Grid] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reference = Simulation(self.real, self.samples, Precision(self.grids))
        arrays = self._reference.arrays
        for members in self.tensors.groups:
            histogram = Histogram.of(np.concatenate([arrays[i].reshape(-1) for i in members]))
            for bits in self.widths.activations:
                found = choose_range(histogram, Observer.MSE, 1 << bits)
                self._narrow[members[0], bits] = grid_over(found, bits)

    def losses(self) -> Losses:
        """Each tensor alone in each width: squared error of the outputs in units of their variance."""
        groups: dict[int, dict[int, float]] = {g[0]: {} for g in self.tensors.groups}
        layers: dict[int, dict[int, float]] = {p: {} for p in self.tensors.layers}
        pairs = ((groups, self.widths.activations), (layers, self.widths.weights))
        tries = [(kind, key, bits) for kind, widths in pairs for key in kind for bits in widths]
        members = {g[0]: g for g in self.tensors.groups}
        for kind, key, bits in self.progress(tries, "tensors in fewer bits", len(tries)):
            if kind is groups:
                tried = self._with_readers(members[key], bits)
            else:
                tried = Precision(self.grids, {key: self._refitted(key, self._operand(key), bits).layer})
            kind[key][bits] = self.loss(self._reference.tried(tried))
        return Losses(groups, layers)

    def loss(self, arrays: dict[int, Array]) -> float:
        """What a run lost against 8 bits."""
        return relative_error(self._reference.outputs(arrays), self._reference.outputs({}))

    def fitted(self, bits: Bits) -> Fitted:
        """A choice with every layer fitted, in order of execution, to what the layers before it give."""
        weights: dict[int, NarrowWeights] = {}

        def fit(position: int, operand: Array) -> Layer | None:
            if position not in self.tensors.layers:
                return None
            weights[position] = self._refitted(position, operand, bits.layer(position))
            return weights[position].layer

        grids = self.chosen_grids(bits)
        self._reference.fitted(grids, fit)
        return Fitted(bits, grids, weights)

    def rebiased(self, fitted: Fitted) -> Fitted:
        """The same integers with the bias of each layer, in order of execution, set by what reaches it."""
        weights: dict[int, NarrowWeights] = {}

        def fit(position: int, operand: Array) -> Layer | None:
            if position not in fitted.weights:
                return None
            site, wanted = self.real.sites[position], self._operand(position)
            weights[position] = rebiased(site, operand, wanted, fitted.weights[position])
            return weights[position].layer

        self._reference.fitted(fitted.grids, fit)
        return replace(fitted, weights=weights)

    def chosen_grids(self, bits: Bits) -> dict[int, Grid]:
        """The grid of each activation under a choice."""
        grids = dict(self.grids)
        for members in self.tensors.groups:
            if bits.value(members[0]) != WIDEST:
                grids.update(dict.fromkeys(members, self._narrow[members[0], bits.value(members[0])]))
        return grids

    def _with_readers(self, members: Sequence[int], bits: int) -> Precision:
        """A group in fewer bits, and the layers that read it fitted to that."""
        grids, layers = self.chosen_grids(Bits().with_group(members, bits)), {}
        for position in self.tensors.layers:
            index = self.real.nodes[position].inputs[0]
            if index is not None and index in members:
                operand = grids[index].nearest(self._operand(position))
                layers[position] = self._refitted(position, operand, WIDEST).layer
        return Precision(grids, layers)

    def _operand(self, position: int) -> Array:
        index = self.real.nodes[position].inputs[0]
        assert index is not None
        return self._reference.arrays[index]

    def _refitted(self, position: int, operand: Array, bits: int) -> NarrowWeights:
        return refit(self.real.sites[position], operand, self._operand(position), bits)


def grid_over(wanted: Range, bits: int) -> Grid:
    """The grid of `bits` bits that covers a range and holds 0; its scale is a float32."""
    wide, low, steps = wanted.with_zero, -(1 << (bits - 1)), (1 << bits) - 1
    scale = (wide.high - wide.low) / steps
    if not scale > np.finfo(np.float32).tiny:
        return Grid(bits, float(np.float32(UNIT)), low)
    return Grid(bits, float(np.float32(scale)), min(max(round(low - wide.low / scale), low), low + steps))


def relative_error(got: Sequence[Array], wanted: Sequence[Array]) -> float:
    """Mean squared error in units of the variance, summed over the outputs."""
    return float(sum(((x - y) ** 2).mean() / (y.var() or 1.0) for x, y in zip(got, wanted, strict=True)))
