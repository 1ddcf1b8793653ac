"""Mutations of a model file that know nothing of its format but where the weights lie."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema

Rng = np.random.Generator

WORDS = (0, 1, 2, 3, 4, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
STRUCTURE_SHARE = 0.85
"""Share of positions drawn outside of the buffers' contents, which make up most of a file and rarely matter."""


def mutate_bytes(rng: Rng, data: bytes) -> tuple[str, bytes]:
    """One to four random mutations; their names and the new file."""
    places = _structure(data)
    names = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
        mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        if len(data) < 64:
            break
        data = mutation(rng, data, places)
        places = places[places < len(data) - 8]
        names.append(mutation.__name__.strip("_"))
    return "+".join(names), data


def _structure(data: bytes) -> np.ndarray:
    """Positions of all bytes that are not contents of a buffer."""
    inside = np.zeros(len(data), bool)
    model = schema.Model.GetRootAs(data, 0)
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.DataLength():
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            inside[start : start + buffer.DataLength()] = True
    return np.flatnonzero(~inside[:-8])


def _position(rng: Rng, data: bytes, places: np.ndarray, alignment: int = 1) -> int:
    if places.size and rng.random() < STRUCTURE_SHARE:
        at = int(places[rng.integers(places.size)])
    else:
        at = int(rng.integers(len(data) - 8))
    return at // alignment * alignment


def _write(data: bytes, at: int, new: bytes) -> bytes:
    return (data[:at] + new + data[at + len(new) :])[: len(data)]


def _flip_bits(rng: Rng, data: bytes, places: np.ndarray) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        changed[_position(rng, data, places)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _set_byte(rng: Rng, data: bytes, places: np.ndarray) -> bytes:
    return _write(data, _position(rng, data, places), bytes([int(rng.integers(256))]))


def _set_word(rng: Rng, data: bytes, places: np.ndarray) -> bytes:
    word = int(rng.choice(WORDS))
    if rng.random() < 0.5:
        return _write(data, _position(rng, data, places, 4), struct.pack("<I", word))
    return _write(data, _position(rng, data, places, 2), struct.pack("<H", word & 0xFFFF))


def _truncate(rng: Rng, data: bytes, places: np.ndarray) -> bytes:
    return data[: _position(rng, data, places) + 1]


def _inflate_length(rng: Rng, data: bytes, places: np.ndarray) -> bytes:
    """A small word, which may be a vector's length, made larger."""
    at = _word_where(rng, data, places, lambda at, word: 0 < word < 4096)
    word = struct.unpack_from("<I", data, at)[0]
    larger = int(rng.choice([word + 1, word * 2, word + 100, word * 1000, 0x7FFFFFFF, 0xFFFFFFFF]))
    return _write(data, at, struct.pack("<I", larger & 0xFFFFFFFF))


def _move_offset(rng: Rng, data: bytes, places: np.ndarray) -> bytes:
    """A word that may be an offset within the file, changed a little, much, or so that it points to itself."""
    at = _word_where(rng, data, places, lambda at, word: 0 < word < len(data) - at)
    word = struct.unpack_from("<i", data, at)[0]
    moved = int(rng.choice([word + 4, word - 4, word + 1, word * 2, 0, -word, int(rng.integers(len(data)))]))
    return _write(data, at, struct.pack("<I", moved & 0xFFFFFFFF))


def _word_where(rng: Rng, data: bytes, places: np.ndarray, wanted: Callable[[int, int], bool]) -> int:
    """Position of an aligned word that is `wanted`, or of any after 50 attempts."""
    at = 0
    for _ in range(50):
        at = _position(rng, data, places, 4)
        if wanted(at, struct.unpack_from("<I", data, at)[0]):
            break
    return at


def _remove_block(rng: Rng, data: bytes, places: np.ndarray) -> bytes:
    at = _position(rng, data, places)
    return data[:at] + data[at + int(rng.integers(1, 65)) :]


def _repeat_block(rng: Rng, data: bytes, places: np.ndarray) -> bytes:
    at, size = _position(rng, data, places), int(rng.integers(1, 65))
    return data[: at + size] + data[at:]


def _fill_block(rng: Rng, data: bytes, places: np.ndarray) -> bytes:
    fill = bytes([int(rng.choice([0, 0xFF, 0x7F, 0x80]))])
    return _write(data, _position(rng, data, places), fill * int(rng.integers(1, 33)))


def _copy_block(rng: Rng, data: bytes, places: np.ndarray) -> bytes:
    source, size = _position(rng, data, places), int(rng.integers(1, 33))
    return _write(data, _position(rng, data, places), data[source : source + size])


MUTATIONS: tuple[Callable[[Rng, bytes, np.ndarray], bytes], ...] = (
    _flip_bits,
    _set_byte,
    _set_word,
    _truncate,
    _inflate_length,
    _move_offset,
    _remove_block,
    _repeat_block,
    _fill_block,
    _copy_block,
)
