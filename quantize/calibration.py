"""Calibration data: checked, and run through the float graph to see what values every tensor takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import UsageError, quoted
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.quantize.observers import Histogram
from thimble.quantize.samples import walk

ENOUGH_SAMPLES = 32
"""Below this, ranges depend too much on which samples were drawn."""

OUTLYING = 10.0
"""A range this many times as wide as that of nearly all values, or of the evaluation data, is worth a warning."""

_BULK_PERCENT = 99.9

COLOURS = 3
"""Channels of a picture, by which it is told from a spectrogram or a table: the model may never see these mirrored."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """`inputs` holds a float32 array (N, *shape) for each input of the graph, `shape` with its leading 1."""

    inputs: tuple[Array, ...]

    def __len__(self) -> int:
        return len(self.inputs[0])

    def part(self, indices: Array | slice) -> Calibration:
        """Some of the samples."""
        return Calibration(tuple(x[indices] for x in self.inputs))

    def spread(self, count: int) -> Calibration:
        """At most `count` samples, evenly spread: files often hold one class after another."""
        total = len(self)
        return self if total <= count else self.part(np.arange(count) * total // count)

    @property
    def with_mirror_images(self) -> Calibration:
        """Colour pictures (N, 1, height, width, 3), each followed by what a mirror shows of it; all else as it is.

        A mirror changes no range that a network of pictures must hold, and shows twice as much of how it varies.
        """
        if len(self.inputs) != 1 or self.inputs[0].ndim != 5 or self.inputs[0].shape[-1] != COLOURS:
            return self
        x = self.inputs[0]
        return Calibration((np.stack([x, x[:, :, :, ::-1]], axis=1).reshape(-1, *x.shape[1:]),))


def calibration_for(graph: Graph, arrays: Sequence[Array]) -> Calibration:
    """The samples (N, ...) of each input, as float32 and of the graph's shapes.

    Raises UsageError where shapes do not fit, a value is not a finite number, or there are no samples.
    """
    inputs = []
    for index, array in zip(graph.inputs, arrays, strict=True):
        value = graph.values[index]
        inputs.append(np.asarray(array, np.float32).reshape(-1, *value.type.shape))
        if not np.isfinite(inputs[-1]).all():
            raise UsageError(f"The calibration data of {quoted(value.name)} holds values that are not finite numbers.")
    if not inputs or not len(inputs[0]):
        raise UsageError("There are no calibration samples.")
    return Calibration(tuple(inputs))


def warnings_of(graph: Graph, calibration: Calibration, data: Sequence[Array] | None = None) -> tuple[str, ...]:
    """What looks wrong about calibration data, one sentence each; `data` is what the model will be evaluated on."""
    found = []
    if len(calibration) < ENOUGH_SAMPLES:
        found.append(
            f"Only {len(calibration)} calibration samples: ranges may be too narrow; give {ENOUGH_SAMPLES} or more."
        )
    for position, (index, x) in enumerate(zip(graph.inputs, calibration.inputs, strict=True)):
        name = quoted(graph.values[index].name)
        size = float(np.abs(x).max())
        bulk = float(np.percentile(np.abs(x), _BULK_PERCENT))
        if float(x.min()) == float(x.max()):
            found.append(f"Input {name} is {x.flat[0]:g} throughout the calibration data.")
        elif len(x) > 1 and (x == x[:1]).all():
            found.append(f"All calibration samples of input {name} are the same.")
        elif size > OUTLYING * bulk:
            found.append(
                f"Input {name} reaches {size:g} in the calibration data, but {_BULK_PERCENT}% of it lie below {bulk:g}."
            )
        if data is not None:
            found += _compare(name, size, float(np.abs(data[position]).max()))
    return tuple(found)


def _compare(name: str, calibrated: float, evaluated: float) -> list[str]:
    """A warning where calibration and evaluation data have different units."""
    if calibrated > OUTLYING * evaluated or evaluated > OUTLYING * calibrated:
        return [
            f"Input {name} reaches {calibrated:g} in the calibration data and {evaluated:g} in the evaluation data: "
            "is one of them scaled otherwise?"
        ]
    return []


def observe(graph: Graph, calibration: Calibration) -> Mapping[int, Histogram]:
    """A histogram of every float value that depends on the input.

    Raises UsageError where a value is not a finite number: nothing could be calibrated on it.
    """
    histograms = {i: Histogram.of(x) for i, x in zip(graph.inputs, calibration.inputs, strict=True)}
    for position, _, outputs in walk(graph, calibration.inputs):
        for index, array in zip(graph.nodes[position].outputs, outputs, strict=True):
            if graph.values[index].type.dtype is not DType.FLOAT32:
                continue
            if not np.isfinite(array).all():
                raise UsageError(
                    f"Tensor {quoted(graph.values[index].name)} holds values that are not finite numbers: "
                    "the model cannot be calibrated on this data."
                )
            histograms[index] = Histogram.of(array)
    return histograms
