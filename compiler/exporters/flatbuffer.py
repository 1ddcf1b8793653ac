"""Tables written in the flatbuffer format, from numbered fields: what generated code does at length."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thimble.compiler.ir.operator import Array

_flatbuffers: Any = importlib.import_module("flatbuffers")  # it carries no type hints

VECTOR_ALIGNMENT = 16
"""`force_align` of Buffer.data in the TFLite schema; more than any other vector asks for, and harmless there."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number of one of the schema's types: bool, byte, ubyte, int, uint or float."""

    kind: str
    value: int | float


@dataclass(frozen=True, slots=True)
class Table:
    """A table: fields by their position in the schema's definition, absent ones left out."""

    fields: Mapping[int, Scalar | str | Array | Table | Sequence[Table]]


_PREPEND = {
    "bool": "PrependBool",
    "byte": "PrependInt8",
    "ubyte": "PrependUint8",
    "int": "PrependInt32",
    "uint": "PrependUint32",
    "float": "PrependFloat32",
}


def write(root: Table, identifier: bytes) -> bytes:
    """The file of a root table."""
    builder = _flatbuffers.Builder(1 << 16)
    builder.Finish(_write_table(builder, root), identifier)
    return bytes(builder.Output())


def _write_table(builder: Any, table: Table) -> int:
    """Write a table, its children first, as the format asks for; its offset."""
    offsets = {slot: _write_child(builder, f) for slot, f in table.fields.items() if not isinstance(f, Scalar)}
    builder.StartObject(max(table.fields, default=-1) + 1)
    for slot, field in table.fields.items():
        if isinstance(field, Scalar):
            getattr(builder, _PREPEND[field.kind])(field.value)
            builder.Slot(slot)
        else:
            builder.PrependUOffsetTRelative(offsets[slot])
            builder.Slot(slot)
    return int(builder.EndObject())


def _write_child(builder: Any, field: str | Array | Table | Sequence[Table]) -> int:
    if isinstance(field, str):
        return int(builder.CreateString(field))
    if isinstance(field, Table):
        return _write_table(builder, field)
    if isinstance(field, np.ndarray):
        return _write_vector(builder, field)
    tables = [_write_table(builder, table) for table in field]
    builder.StartVector(4, len(tables), 4)
    for offset in reversed(tables):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _write_vector(builder: Any, numbers: Array) -> int:
    """A vector of plain numbers in the array's own type."""
    payload = np.ascontiguousarray(numbers).tobytes()
    builder.StartVector(numbers.itemsize, numbers.size, VECTOR_ALIGNMENT)
    builder.head -= len(payload)
    builder.Bytes[builder.head : builder.head + len(payload)] = payload
    return int(builder.EndVector())
