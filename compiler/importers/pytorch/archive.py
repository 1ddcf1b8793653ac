"""A .pt2 archive, read without PyTorch and without unpickling anything: JSON for the graph, plain bytes for weights."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp, listed, quoted
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import MAX_RANK, MAX_TENSOR_BYTES

MAX_JSON_BYTES = 1 << 25
MAX_TOTAL_BYTES = 1 << 28
MAX_FILES = 1 << 14

NUMPY_TYPES: dict[int, str] = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
}
"""torch's scalar types that numpy has too (torch/_export/serde/schema.py, ScalarType)."""

_BROKEN = (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """Shape and element type of a value of the program."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Call:
    """One node: an ATen operator such as "aten.conv2d.default", its arguments by name, the values that it makes."""

    source: str
    target: str
    arguments: Mapping[str, Any]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """An exported program: `inputs` are the user's, `constants` parameters, buffers and tensors by value name."""

    calls: tuple[Call, ...]
    metas: Mapping[str, TensorMeta]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]


def read_program(data: bytes) -> Program:
    """Read the archive; raises MalformedModel where it is damaged, UnsupportedOp where it needs unpickling."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        return _Reader(archive).program()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise MalformedModel("The file is no .pt2 archive, or it is truncated or damaged.") from error
    except _BROKEN as error:
        raise MalformedModel("The archive lacks a part that every exported program has, or it is damaged.") from error


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        entries = archive.infolist()
        if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_TOTAL_BYTES:
            raise MalformedModel(f"The archive holds more than {MAX_FILES} files or {MAX_TOTAL_BYTES >> 20} MiB.")
        self._names = {entry.filename: entry for entry in entries}
        roots = sorted({name.partition("/")[0] for name in self._names})
        self._root = roots[0] if roots else ""
        if f"{self._root}/models/model.json" not in self._names:
            pickled = any(name.endswith("data.pkl") for name in self._names)
            reason = "a pickled PyTorch file, and unpickling runs code" if pickled else "no exported program"
            raise UnsupportedOp(
                f"The file is {reason}; save the model with torch.export.save(torch.export.export(...))."
            )

    def program(self) -> Program:
        module = self._json("models/model.json")["graph_module"]
        graph, signature = module["graph"], module["signature"]
        metas = {str(name): _meta(value, str(name)) for name, value in graph["tensor_values"].items()}
        inputs, constants = [], {}
        weights = self._json("data/weights/model_weights_config.json")["config"]
        tensors = self._json("data/constants/model_constants_config.json")["config"]
        for spec in signature["input_specs"]:
            ((kind, entry),) = spec.items()
            if kind == "user_input":
                inputs.append(_name_of(entry["arg"]))
            elif kind in ("parameter", "buffer"):
                constants[str(entry["arg"]["name"])] = self._tensor("weights", weights, str(entry[f"{kind}_name"]))
            elif kind == "tensor_constant":
                name = str(entry["tensor_constant_name"])
                constants[str(entry["arg"]["name"])] = self._tensor("constants", tensors, name)
            else:
                raise UnsupportedOp(
                    f"The program has an input of the kind {quoted(str(kind))}, which is not supported."
                )
        outputs = []
        for spec in signature["output_specs"]:
            ((kind, entry),) = spec.items()
            if kind != "user_output":
                raise UnsupportedOp(f"The program changes its own state ({quoted(str(kind))}), which is not supported.")
            outputs.append(_name_of(entry["arg"]))
        calls = tuple(_call(node, position) for position, node in enumerate(graph["nodes"]))
        return Program(calls, metas, tuple(inputs), tuple(outputs), constants)

    def _json(self, name: str) -> Any:
        entry = self._names[f"{self._root}/{name}"]
        if entry.file_size > MAX_JSON_BYTES:
            raise MalformedModel(f"{name} is larger than {MAX_JSON_BYTES >> 20} MiB.")
        return json.loads(self._bytes(entry))

    def _bytes(self, entry: zipfile.ZipInfo) -> bytes:
        with self._archive.open(entry) as file:
            return file.read(entry.file_size)  # never more than the archive's own table says

    def _tensor(self, folder: str, config: Mapping[str, Any], name: str) -> Array:
        """A parameter or constant: its elements in the storage as its strides say."""
        where = f"Tensor {quoted(name)}"
        entry = config[name]
        if entry.get("use_pickle"):
            raise UnsupportedOp(f"{where} is pickled, and unpickling runs code; save the program with plain tensors.")
        meta = _meta(entry["tensor_meta"], name)
        raw = np.frombuffer(self._bytes(self._names[f"{self._root}/data/{folder}/{entry['path_name']}"]), np.uint8)
        kind = np.dtype(meta.dtype).newbyteorder("<")
        strides = tuple(_integer(s) for s in entry["tensor_meta"]["strides"])
        offset = _integer(entry["tensor_meta"]["storage_offset"])
        reach = offset + 1 + sum((d - 1) * s for d, s in zip(meta.shape, strides, strict=True))
        if 0 in meta.shape:
            return np.zeros(meta.shape, meta.dtype)
        if offset < 0 or min(strides, default=0) < 0 or reach * kind.itemsize > raw.size:
            raise MalformedModel(f"{where} of shape {listed(meta.shape)} does not lie in its {raw.size} bytes.")
        stored = raw[: raw.size // kind.itemsize * kind.itemsize].view(kind)[offset:]
        view = np.lib.stride_tricks.as_strided(stored, meta.shape, [s * kind.itemsize for s in strides])
        return view.astype(meta.dtype)


def _meta(value: Mapping[str, Any], name: str) -> TensorMeta:
    shape = tuple(_integer(size) for size in value["sizes"])
    code = int(value["dtype"])
    if code not in NUMPY_TYPES:
        raise UnsupportedOp(f"Tensor {quoted(name)} has torch's element type {code}, which is not supported.")
    if len(shape) > MAX_RANK or min(shape, default=0) < 0:
        raise UnsupportedOp(f"Tensor {quoted(name)} has {len(shape)} dimensions; at most {MAX_RANK} are supported.")
    if prod(shape) * np.dtype(NUMPY_TYPES[code]).itemsize > MAX_TENSOR_BYTES:
        raise MalformedModel(f"Tensor {quoted(name)} of shape {listed(shape)} is larger than {MAX_TENSOR_BYTES} bytes.")
    return TensorMeta(shape, NUMPY_TYPES[code])


def _integer(value: Any) -> int:
    """A size that is fixed; raises UnsupportedOp for one that is a symbol."""
    if isinstance(value, Mapping) and "as_int" in value:
        return int(value["as_int"])
    if isinstance(value, int):
        return value
    raise UnsupportedOp("The program has dynamic shapes; export it with fixed ones, for a batch of 1.")


def _name_of(argument: Mapping[str, Any]) -> str:
    if "as_tensor" not in argument:
        raise UnsupportedOp("The program has an input or output that is no tensor.")
    return str(argument["as_tensor"]["name"])


def _call(node: Mapping[str, Any], position: int) -> Call:
    target = str(node["target"]).removeprefix("torch.ops.")
    label = target if target.replace(".", "").replace("_", "").isalnum() and len(target) < 80 else quoted(target)
    source = f"node {position} ({label})"
    arguments = {str(entry["name"]): _value(entry["arg"]) for entry in node["inputs"]}
    outputs: list[str] = []
    for entry in node["outputs"]:
        parts = entry["as_tensors"] if "as_tensors" in entry else [entry["as_tensor"]]
        outputs += [str(part["name"]) for part in parts]
    return Call(source, target, arguments, tuple(outputs))


@dataclass(frozen=True, slots=True)
class Ref:
    """An argument that is a tensor of the program."""

    name: str


def _value(argument: Mapping[str, Any]) -> Any:
    """An argument as a Python value; a tensor as a Ref."""
    ((kind, value),) = argument.items()
    if kind == "as_tensor":
        return Ref(str(value["name"]))
    if kind == "as_tensors":
        return [Ref(str(part["name"])) for part in value]
    if kind == "as_optional_tensors":
        return [None if "as_none" in part else Ref(str(part["as_tensor"]["name"])) for part in value]
    if kind == "as_none":
        return None
    if kind in ("as_sym_ints", "as_sym_int"):
        return [_integer(part) for part in value] if isinstance(value, Sequence) else _integer(value)
    return value
