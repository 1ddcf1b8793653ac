"""Mutated .npz files: read, or refused with one sentence that says so."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from tests.tflite_builder import ModelBuilder
from thimble.compiler.driver.data import load_samples
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import UsageError


def two_input_model() -> bytes:
    """Two quantized inputs of different shapes, added."""
    m = ModelBuilder()
    a, b = m.tensor((1, 4), np.int8, 0.1, 3, name="a"), m.tensor((1, 1), np.int8, 0.1, 3, name="b\n")
    y = m.tensor((1, 4), np.int8, 0.2, 0)
    m.op("ADD", [a, b], [y], "AddOptions")
    m.interface([a, b], [y])
    return m.build()


def seed_file(rng: np.random.Generator) -> bytes:
    """A sound file for the model, compressed or not, of floats or of int8."""
    file = io.BytesIO()
    save = np.savez if rng.random() < 0.5 else np.savez_compressed
    dtype = np.float32 if rng.random() < 0.5 else np.int8
    a, b = rng.integers(-9, 9, (6, 4)).astype(dtype), rng.integers(-9, 9, (6, 1)).astype(dtype)
    save(file, **{"a": a, "b\n": b, "y": np.arange(6)})
    return file.getvalue()


def mutate(rng: np.random.Generator, data: bytes) -> bytes:
    """Bits flipped, bytes replaced, cut off or repeated; header texts with other numbers."""
    kind = int(rng.integers(5))
    changed = bytearray(data)
    at = int(rng.integers(len(data)))
    if kind == 0:
        for _ in range(int(rng.integers(1, 9))):
            changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        changed[at : at + 4] = rng.bytes(4)
    elif kind == 2:
        del changed[at:]
    elif kind == 3:
        changed[at:at] = changed[at : at + int(rng.integers(1, 40))]
    else:
        old, new = ((b"(6, 4)", b"(9, 9)"), (b"'<f4'", b"'|O'  "), (b"|i1", b"|V1"), (b"(6, 1)", b"(-6,1"))[at % 4]
        changed = bytearray(data.replace(old, new))
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")  # zipfile warns of names that stand twice
def test_mutated_data_is_read_or_refused(tmp_path: Path) -> None:
    graph = import_tflite(two_input_model(), "two")
    path = tmp_path / "x.npz"
    outcomes, messages = {"read": 0, "refused": 0}, set()
    for seed in range(1500):
        rng = np.random.default_rng(seed)
        path.write_bytes(mutate(rng, seed_file(rng)))
        try:
            samples = load_samples(path, graph)
        except UsageError as error:
            outcomes["refused"] += 1
            messages.add(str(error))
        else:
            outcomes["read"] += 1
            assert [a.dtype for a in samples.inputs] == [np.int8, np.int8]
            assert [a.shape[1:] for a in samples.inputs] == [(1, 4), (1, 1)]
    assert min(outcomes.values()) > 100, outcomes
    for message in messages:
        assert message.isprintable()
        assert len(message) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": np.zeros((2, 4)), "b\n": np.zeros((2, 3))},
        {"a": np.zeros((2, 4)), "b\n": np.array([["x"], ["y"]])},
        {"a": np.zeros((2, 4)), "b\n": np.full((2, 1), np.nan)},
        {"a": np.zeros((2, 4)), **{f"{i}\n": np.zeros(1) for i in range(500)}},
    ],
    ids=["shape", "type", "not a number", "absent"],
)
def test_names_of_the_model_stay_on_one_line(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(UsageError) as caught:
        load_samples(tmp_path / "x.npz", import_tflite(two_input_model(), "two"))
    assert str(caught.value).isprintable()
    assert "'b\\n'" in str(caught.value)
