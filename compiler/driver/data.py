"""Evaluation data: .npz files to samples in the model's own input types, and outputs back to .npz."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from thimble.compiler.ir.errors import UsageError, listed, quoted
from thimble.compiler.ir.graph import Graph, Value
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.passes.integer_interface import Border, Interface, keep_interface

RANDOM_SAMPLES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """`inputs` holds one array (N, *shape) for each input of the graph; `labels` is (N,) where the data has them."""

    inputs: tuple[Array, ...]
    labels: Array | None
    source: str

    def __len__(self) -> int:
        return len(self.inputs[0]) if self.inputs else 1

    def sample(self, index: int) -> list[Array]:
        """The inputs of one inference."""
        return [array[index] for array in self.inputs]

    def raw(self) -> bytes:
        """All samples as the firmware reads them: for each sample its inputs back to back."""
        return b"".join(array.tobytes() for i in range(len(self)) for array in self.sample(i))


def load_samples(path: Path, graph: Graph, limit: int | None = None, interface: Interface | None = None) -> Samples:
    """Read an .npz: inputs keyed by tensor name, or `x` for a single one; labels in `y`. Takes the first `limit`.

    Floats for a quantized input are quantized with its scale and zero point. Where the graph's inputs are not the
    model's own, `interface` leads to them, and those are taken too. Raises UsageError where the file, a key, a shape
    or a type does not match the model.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file.") from error
    except Exception as error:  # numpy, zipfile and zlib raise a dozen kinds for damaged files, MemoryError among them
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise UsageError(f"{path} is not an .npz file of plain arrays: {reason[:200]}.") from error
    values = [graph.values[i] for i in graph.inputs]
    borders = (interface or keep_interface(graph)).inputs
    inputs = [
        _convert(_pick(arrays, value, len(values), path), value, border, path)
        for value, border in zip(values, borders, strict=True)
    ]
    counts = {len(array) for array in inputs}
    if len(counts) > 1:
        raise UsageError(f"{path}: the inputs hold different numbers of samples: {sorted(counts)}.")
    if counts == {0}:
        raise UsageError(f"{path} holds no samples.")
    given = max(counts, default=1)
    count = min(limit or given, given)
    labels = arrays.get("y")
    if labels is not None and labels.shape != (given,):
        raise UsageError(f"{path}: y has shape {labels.shape}; it must be ({given},), one label a sample.")
    if labels is not None and not np.issubdtype(labels.dtype, np.number):
        raise UsageError(f"{path}: y holds {labels.dtype}; it must hold the number of the class of each sample.")
    return Samples(tuple(a[:count] for a in inputs), None if labels is None else labels[:count], path.name)


def model_samples(samples: Samples, interface: Interface) -> Samples:
    """The same samples as the model itself takes them."""
    borders = zip(interface.inputs, samples.inputs, strict=True)
    inputs = tuple(np.stack([border.invert(s) for s in array]) if border.sites else array for border, array in borders)
    return replace(samples, inputs=inputs)


def random_samples(graph: Graph, limit: int | None = None, seed: int = 0) -> Samples:
    """Random inputs over the whole range of each input's type: for builds that have no data."""
    rng = np.random.default_rng(seed)
    count = limit or RANDOM_SAMPLES
    return Samples(
        tuple(_random(rng, graph.values[i], count) for i in graph.inputs), None, f"random inputs, seed {seed}"
    )


def save_outputs(path: Path, graph: Graph, outputs: Sequence[Sequence[Array]]) -> None:
    """Write outputs (samples by outputs) keyed by tensor name; a name that stands twice gets its position.

    Raises UsageError where the file cannot be written.
    """
    values = [graph.values[i] for i in graph.outputs]
    names = unique_names([value.name for value in values])
    arrays = {
        name: np.stack([as_in_source(sample[k], value) for sample in outputs])
        for k, (name, value) in enumerate(zip(names, values, strict=True))
    }
    try:
        with path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def unique_names(names: Iterable[str]) -> list[str]:
    """Names usable as keys of an .npz: none empty, none twice, no path separators."""
    seen: list[str] = []
    for position, name in enumerate(names):
        key = name.replace("/", "_") or f"output_{position}"
        seen.append(key if key not in seen else f"{key}_{position}")
    return seen


def split_outputs(raw: bytes, graph: Graph) -> list[list[Array]]:
    """The firmware's output file as arrays: one list of outputs a sample. Raises ValueError for a partial sample."""
    types = [graph.values[i].type for i in graph.outputs]
    size = sum(t.bytes for t in types)
    if len(raw) % size:
        raise ValueError(f"{len(raw)} bytes of outputs are no multiple of the {size} bytes of one sample")
    results = []
    for start in range(0, len(raw), size):
        sample, at = [], start
        for t in types:
            sample.append(np.frombuffer(raw, t.dtype.numpy, t.elements, at).reshape(t.shape))
            at += t.bytes
        results.append(sample)
    return results


def _pick(arrays: dict[str, Array], value: Value, count: int, path: Path) -> Array:
    if value.name in arrays:
        return arrays[value.name]
    if count == 1 and "x" in arrays:
        return arrays["x"]
    wanted = quoted(value.name) + (" or 'x'" if count == 1 else "")
    raise UsageError(
        f"{path} lacks the input {wanted}; it holds {listed(sorted(map(quoted, arrays))) if arrays else 'nothing'}."
    )


def _convert(array: Array, value: Value, border: Border, path: Path) -> Array:
    """`array`, given for the graph's input or for the model's own, as (N, *shape) in the graph's dtype."""
    type_ = value.type
    if border.sites and not (array.dtype == type_.dtype.numpy and _fits(array.shape, type_.shape)):
        own = border.sites[0].input(0)
        if in_order(array, own) is not None and _same_kind(array, own.type.dtype):
            return np.stack([border.apply(sample) for sample in _convert(array, own, Border(), path)])
    dtype = type_.dtype
    batched = in_order(array, value)
    if batched is None:
        shape = source_shape(value)
        raise UsageError(f"{path}: input {quoted(value.name)} has shape {array.shape}; the model takes (N, *{shape}).")
    if batched.dtype == dtype.numpy:
        return np.ascontiguousarray(batched)
    if np.issubdtype(batched.dtype, np.floating) and dtype is DType.FLOAT32:
        return np.ascontiguousarray(batched.astype(np.float32))
    if np.issubdtype(batched.dtype, np.floating) and type_.quant is not None and type_.quant.per_tensor:
        return _quantize(batched, value, path)
    raise UsageError(
        f"{path}: input {quoted(value.name)} is {array.dtype}; the model takes {dtype.value}"
        f"{' or float, to be quantized' if type_.quant else ''}."
    )


def in_order(array: Array, value: Value) -> Array | None:
    """Samples in the order of dimensions of the model's file, or as they are stored; None where neither fits."""
    if value.source_order is not None and _fits(array.shape, source_shape(value)):
        samples = array.reshape(-1, *source_shape(value))
        return samples.transpose(0, *(axis + 1 for axis in value.source_order))
    return array.reshape(-1, *value.type.shape) if _fits(array.shape, value.type.shape) else None


def source_shape(value: Value) -> tuple[int, ...]:
    """The shape that the model's file gives an input or output."""
    order, shape = value.source_order, value.type.shape
    return shape if order is None else tuple(shape[order.index(axis)] for axis in range(len(order)))


def as_in_source(array: Array, value: Value) -> Array:
    """A stored input or output of one inference with its dimensions in the order of the model's file."""
    array = array.reshape(value.type.shape)
    order = value.source_order
    return array if order is None else array.transpose([order.index(axis) for axis in range(len(order))])


def _same_kind(array: Array, dtype: DType) -> bool:
    """Whether an array can be taken for a tensor of `dtype` as it is: the same integers, or any float for a float."""
    return array.dtype == dtype.numpy or (np.issubdtype(array.dtype, np.floating) and dtype is DType.FLOAT32)


def _quantize(real: Array, value: Value, path: Path) -> Array:
    """Real numbers as a quantized input takes them."""
    if np.isnan(real).any():
        raise UsageError(f"{path}: input {quoted(value.name)} holds values that are not a number.")
    low, high = value.type.dtype.range
    levels = np.round(real / value.quant.scale) + value.quant.zero_point
    return np.clip(levels, low, high).astype(value.type.dtype.numpy)


def _fits(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether an array holds whole samples: (N, *shape), or (N, *shape[1:]) for a batch of 1, or one sample."""
    if given == shape and (not shape or shape[0] == 1):
        return True
    return given[1:] == shape or (bool(shape) and shape[0] == 1 and len(given) > 0 and given[1:] == shape[1:])


def _random(rng: np.random.Generator, value: Value, count: int) -> Array:
    shape = (count, *value.type.shape)
    if value.type.dtype is DType.FLOAT32:
        return rng.uniform(-1, 1, shape).astype(np.float32)
    low, high = value.type.dtype.range
    return rng.integers(low, high, shape, endpoint=True).astype(value.type.dtype.numpy)
