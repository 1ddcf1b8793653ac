"""Fashion-MNIST as Debian's package `dataset-fashion-mnist` installs it (Zalando Research, MIT licence)."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thimble.compiler.driver.demo.network import CLASSES, IMAGE_SIZE
from thimble.compiler.ir.errors import ToolMissing

DEFAULT_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SAMPLES_PER_CLASS = 20
# An idx file's header is a magic number and the size of each dimension, four bytes each.
_IMAGE_HEADER_BYTES = 16
_LABEL_HEADER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Split:
    """Images uint8 (N, 28, 28, 1) and their classes int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def _read_idx(path: Path, header_bytes: int) -> NDArray[np.uint8]:
    """The bytes after the header of a gzipped idx file, flat; raises ToolMissing where the file is absent."""
    if not path.is_file():
        raise ToolMissing(f"no {path}: run `apt-get install dataset-fashion-mnist`, or name its folder")
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header_bytes)


def read_split(folder: Path, prefix: str) -> Split:
    """Read the split `prefix`, "train" (60,000 images) or "t10k" (10,000)."""
    images = _read_idx(folder / f"{prefix}-images-idx3-ubyte.gz", _IMAGE_HEADER_BYTES)
    labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", _LABEL_HEADER_BYTES)
    return Split(images.reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 1), labels.astype(np.int64))


def sample_indices(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the first 20 images of each class, ascending, so that any prefix of them mixes classes."""
    firsts = [np.flatnonzero(labels == label)[:SAMPLES_PER_CLASS] for label in range(CLASSES)]
    return np.sort(np.concatenate(firsts)).astype(np.int64)
