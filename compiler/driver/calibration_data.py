"""Calibration samples from where the user has them: an .npz, a folder of .npy files, or Python arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from thimble.compiler.driver.data import in_order, load_samples, source_shape
from thimble.compiler.ir.errors import UsageError, quoted
from thimble.compiler.ir.graph import Graph, Value
from thimble.compiler.ir.operator import Array
from thimble.quantize.calibration import Calibration, calibration_for

Source = Path | str | Iterable[Array]


def load_calibration(source: Source, graph: Graph) -> Calibration:
    """Calibration samples for the inputs of a float graph.

    An .npz as `load_samples` takes it; a folder whose .npy files, in the order of their names, are samples or stacks
    of samples of the only input; or an iterable of such arrays. Raises UsageError where they do not fit.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_dir():
            return calibration_for(graph, load_samples(path, graph).inputs)
        return calibration_for(graph, [_stack(_read_folder(path), graph, str(path))])
    return calibration_for(graph, [_stack(source, graph, "The calibration data")])


def _read_folder(folder: Path) -> Iterable[Array]:
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise UsageError(f"{folder} holds no .npy files.")
    for file in files:
        try:
            yield np.load(file, allow_pickle=False)
        except Exception as error:  # numpy raises a dozen kinds for damaged files
            raise UsageError(f"{file} is no .npy file of plain numbers.") from error


def _stack(arrays: Iterable[Array], graph: Graph, where: str) -> Array:
    """Samples and stacks of samples of the only input as one stack (N, *shape)."""
    if len(graph.inputs) != 1:
        raise UsageError(f"{where}: a model with {len(graph.inputs)} inputs needs an .npz with an array for each.")
    value = graph.values[graph.inputs[0]]
    parts = [_as_samples(np.asarray(array), value, where) for array in arrays]
    if not parts:
        raise UsageError(f"{where} holds no samples.")
    return np.concatenate(parts)


def _as_samples(array: Array, value: Value, where: str) -> Array:
    """One array as (N, *shape): a sample with or without its leading 1, or a stack of them."""
    shape = source_shape(value)
    alone = array.shape == shape[1:] and shape[:1] == (1,)
    batched = in_order(array[None] if alone else array, value)
    if batched is None:
        raise UsageError(f"{where}: input {quoted(value.name)} has shape {array.shape}; the model takes (N, *{shape}).")
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        raise UsageError(f"{where}: input {quoted(value.name)} is {array.dtype}; it must hold numbers.")
    return batched.astype(np.float32)
