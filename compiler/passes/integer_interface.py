"""Conversions at the borders of the graph become the caller's: `--io int8`.

This changes what the caller hands over and gets back, so it is no rewrite of the pipeline, which keeps the interface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thimble.compiler.ir.errors import ThimbleError
from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import Array, Rounding
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.passes.draft import Draft

NARROW = (DType.INT8, DType.UINT8, DType.INT16)
"""Integers of which every value can be tried."""


@dataclass(frozen=True, slots=True)
class Border:
    """What was moved out of the graph behind one input or in front of one output, in the order in which it runs."""

    sites: tuple[Site, ...] = ()

    def apply(self, array: Array) -> Array:
        """One sample through the conversions, exactly as the model computes them."""
        for site in self.sites:
            (array,) = site.op.reference(site, (array,), Rounding.TFLM)
        return array

    def invert(self, array: Array) -> Array:
        """The sample from which `apply` makes `array`. Raises ThimbleError where it does not come back."""
        given = array
        for site in reversed(self.sites):
            given = _inverse(site, given)
        if self.apply(given).tobytes() != array.tobytes():
            raise ThimbleError("Bug in Thimble: a conversion at the model's border does not invert.")
        return given


@dataclass(frozen=True, slots=True)
class Interface:
    """The borders of all inputs and outputs; empty ones where the graph's tensor is the model's own."""

    inputs: tuple[Border, ...]
    outputs: tuple[Border, ...]

    def model_inputs(self, arrays: Sequence[Array]) -> list[Array]:
        """The model's own inputs of one inference, which its conversions turn into these."""
        return [border.invert(array) for border, array in zip(self.inputs, arrays, strict=True)]

    def model_outputs(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs that the model itself would give for these of the graph."""
        return [border.apply(array) for border, array in zip(self.outputs, arrays, strict=True)]


def keep_interface(graph: Graph) -> Interface:
    """The interface of a graph that takes and gives the model's own tensors."""
    return Interface((Border(),) * len(graph.inputs), (Border(),) * len(graph.outputs))


def move_conversions_out(graph: Graph) -> tuple[Graph, Interface]:
    """Let the graph begin behind the conversions of its inputs and end in front of those of its outputs.

    Those are QUANTIZE, DEQUANTIZE and TRANSPOSE, and RESHAPE between them, where nothing else reads what they read;
    of an input, only what every value can come out of. The new inputs and outputs keep the names of the old ones.
    """
    draft = Draft(graph)
    inputs, outputs = [], []
    borders_in, borders_out = [], []
    for value in graph.inputs:
        chain = _chain_behind(draft, value)
        borders_in.append(Border(tuple(map(draft.site, chain))))
        inputs.append(_drop(draft, chain, value, draft.node(chain[-1]).outputs[0] if chain else value))
    for value in graph.outputs:
        chain = _chain_before(draft, value)
        borders_out.append(Border(tuple(map(draft.site, chain))))
        source = draft.node(chain[0]).inputs[0] if chain else value
        assert source is not None
        outputs.append(_drop(draft, chain, value, source))
        draft.outputs = (*outputs, *graph.outputs[len(outputs) :])
    for value in inputs:
        draft.values[value] = replace(draft.values[value], role=Role.INPUT)
    moved = replace(draft.finish(), inputs=tuple(inputs), outputs=tuple(outputs))
    return moved, Interface(tuple(borders_in), tuple(borders_out))


def _drop(draft: Draft, chain: list[int], old: int, new: int) -> int:
    """Drop a chain of conversions; the value that takes the place of `old` in the interface, with its name."""
    kept = all(isinstance(draft.node(position).op, Quantize | Dequantize) for position in chain)
    for position in chain:
        draft.nodes[position] = None
    order = draft.values[old].source_order if kept else None
    draft.values[new] = replace(draft.values[new], name=draft.values[old].name, source_order=order)
    return new


def _chain_behind(draft: Draft, value: int) -> list[int]:
    """Positions of the conversions that can be moved out behind an input, in order."""
    chain: list[int] = []
    while (position := draft.only_reader(value)) is not None and _movable_behind(draft.site(position)):
        (value,) = draft.node(position).outputs
        if value in draft.outputs:
            break
        chain.append(position)
    return _without_reshapes(draft, chain, -1)


def _chain_before(draft: Draft, output: int) -> list[int]:
    """Positions of the conversions that can be moved out in front of an output, in order."""
    chain: list[int] = []
    value = output
    while (position := draft.writer(value)) is not None:
        (source, *_) = draft.node(position).inputs
        if draft.readers(value) not in ([], chain[:1]) or not _movable_before(draft, position, source):
            break
        assert source is not None
        chain.insert(0, position)
        value = source
    return _without_reshapes(draft, chain, 0)


def _without_reshapes(draft: Draft, chain: list[int], end: int) -> list[int]:
    """A chain without the reshapes at its inner end: moving those out would gain nothing."""
    while chain and isinstance(draft.node(chain[end]).op, Reshape):
        del chain[end]
    return chain


def _movable_behind(site: Site) -> bool:
    if isinstance(site.op, Quantize):
        return _reaches_every_value(site)
    return isinstance(site.op, (Transpose, Reshape))


def _movable_before(draft: Draft, position: int, source: int | None) -> bool:
    """Whether a node in front of an output converts only, and its source may become the output in its place."""
    if not isinstance(draft.node(position).op, (Quantize, Dequantize, Transpose, Reshape)) or source is None:
        return False
    alone = draft.readers(source) == [position] and source not in draft.outputs
    return alone and draft.values[source].role is Role.ACTIVATION


def _reaches_every_value(site: Site) -> bool:
    """Whether each integer of the output's type comes out for the input that `_inverse` gives."""
    if site.output().type.dtype not in NARROW or site.input(0).type.dtype not in (DType.FLOAT32, *NARROW):
        return False
    low, high = site.output().type.dtype.range
    levels = np.arange(low, high + 1).astype(site.output().type.dtype.numpy)
    (back,) = site.op.reference(site, (_inverse(site, levels),), Rounding.TFLM)
    return bool(np.array_equal(back, levels))


def _inverse(site: Site, array: Array) -> Array:
    """What a conversion makes `array` of; for QUANTIZE of integers the first such value, or the lowest if none is."""
    given, made = site.input(0), site.output()
    if isinstance(site.op, Transpose):
        return np.ascontiguousarray(array.transpose(np.argsort(site.op.permutation)))
    if isinstance(site.op, Reshape):
        return array.reshape(given.type.shape)
    if given.type.dtype is DType.FLOAT32:
        units = (array.astype(np.int32) - made.quant.zero_point).astype(np.float32)
        with np.errstate(all="ignore"):
            return np.asarray(units * np.float32(made.quant.scale), np.float32)
    low, high = given.type.dtype.range
    levels = np.arange(low, high + 1).astype(given.type.dtype.numpy)
    (results,) = site.op.reference(site, (levels,), Rounding.TFLM)
    first = np.full(1 << 16, levels[0])
    first[results[::-1].astype(np.int64) & 0xFFFF] = levels[::-1]
    return np.asarray(first[array.astype(np.int64) & 0xFFFF])
