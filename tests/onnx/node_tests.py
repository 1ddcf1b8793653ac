"""The node tests of the onnx package, each tried against the float path: passed, refused with the reason, or wrong."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from thimble.compiler.importers.onnx import import_onnx
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.graph import Graph, Value
from thimble.compiler.ops.executor import Executor

PASSED, REFUSED, WRONG = "passed", "refused", "wrong"
ROUNDED = {"float16": 2e-3, "bfloat16": 1.6e-2}
"""Relative tolerance where the expected values were computed and rounded in 16 bits; ours are in 32."""

NARROW = {"int4": np.int8, "int2": np.int8, "uint4": np.uint8, "uint2": np.uint8}
"""Integers of fewer than 8 bits, and what holds them here."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case; `bound` says how many inputs had to be given as constants."""

    name: str
    operator: str
    outcome: str
    reason: str = ""
    bound: int = 0


@cache
def node_cases() -> tuple[Any, ...]:
    """All node tests that the installed onnx package generates."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(load_model_tests(kind="node"))


def model_of(case: Any) -> ModelProto:
    """The model of a case."""
    return case.model if case.model is not None else onnx.load(os.path.join(case.model_dir, "model.onnx"))


def operator_of(case: Any) -> str:
    """The operator that a case is about: its only one, or the one whose expansion it is."""
    nodes = [node.op_type for node in model_of(case).graph.node]
    if "_expanded" not in case.name:
        return nodes[0] if len(set(nodes)) == 1 else ("Sequence" if "sequence" in case.name else nodes[-1])
    base = case.name.partition("_expanded")[0]
    return next((operator_of(c) for c in node_cases() if c.name == base), nodes[-1])


def try_case(case: Any) -> Outcome:
    """Run one case: with all inputs as they are, else with all but the first bound as constants, else with all."""
    operator, model = operator_of(case), model_of(case)
    count = len(model.graph.input)
    reason = ""
    for bound in (0, max(count - 1, 0), count):
        try:
            wrong = _compare(case, model, bound)
        except UnsupportedOp as error:
            reason = _plain_reason(error)
            continue
        except MalformedModel as error:
            return Outcome(case.name, operator, WRONG, f"called malformed: {error}", bound)
        return Outcome(case.name, operator, PASSED if wrong is None else WRONG, wrong or "", bound)
    return Outcome(case.name, operator, REFUSED, reason)


def _plain_reason(error: UnsupportedOp) -> str:
    text = error.blockers[0] if error.blockers else str(error)
    return text.partition(": ")[2] if text.startswith("node ") else text


def _compare(case: Any, model: ModelProto, bound: int) -> str | None:
    """What differs from the expected outputs, if anything, in any of the case's sets of data."""
    for inputs, outputs in case.data_sets:
        given = [_array(x) for x in inputs]
        first = len(model.graph.input) - bound
        if any(x is None for x in given):
            raise UnsupportedOp("Sequences, maps and optional values are not supported.")
        graph = import_onnx(_with_constants(model, given, first).SerializeToString(), case.name)
        wrong = _run(graph, given[:first], [_array(x) for x in outputs], case)
        if wrong is not None:
            return wrong
    return None


def _array(value: Any) -> np.ndarray | None:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None


def _with_constants(model: ModelProto, given: list[Any], first: int) -> ModelProto:
    """The model with its inputs from `first` on as initializers."""
    changed = ModelProto()
    changed.CopyFrom(model)
    for value, array in zip(list(changed.graph.input)[first:], given[first:], strict=True):
        tensor = numpy_helper.from_array(array, value.name)
        changed.graph.initializer.append(tensor)
        changed.graph.input.remove(value)
    return changed


def _run(graph: Graph, given: list[Any], expected: list[Any], case: Any) -> str | None:
    arrays = [_stored(x, graph.values[i]) for x, i in zip(given, graph.inputs, strict=True)]
    with np.errstate(all="ignore"):
        results = Executor(graph).invoke(arrays)
    for index, ours, theirs in zip(graph.outputs, results, expected, strict=True):
        if theirs is None:
            raise UnsupportedOp("Sequences, maps and optional values are not supported.")
        wrong = _difference(_as_given(ours, graph.values[index]), theirs, case)
        if wrong is not None:
            return wrong
    return None


def _stored(array: Any, value: Value) -> np.ndarray:
    array = array if value.source_order is None else array.transpose(value.source_order)
    return np.ascontiguousarray(array.astype(value.type.dtype.numpy)).reshape(value.type.shape)


def _as_given(array: np.ndarray, value: Value) -> np.ndarray:
    return array if value.source_order is None else array.transpose(np.argsort(value.source_order))


def _difference(ours: np.ndarray, theirs: np.ndarray, case: Any) -> str | None:
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} for {theirs.shape}"
    if theirs.dtype.kind not in "fV" or theirs.dtype.name in NARROW:
        theirs = theirs.astype(NARROW.get(theirs.dtype.name, theirs.dtype))
        same = ours.dtype == theirs.dtype and bool((ours == theirs).all())
        return None if same else f"{int((ours != theirs).sum())} of {theirs.size} values, {ours.dtype} {theirs.dtype}"
    if ours.dtype.kind != "f":
        return f"{ours.dtype} for {theirs.dtype}"
    rtol = max(case.rtol, ROUNDED.get(theirs.dtype.name, 0.0))
    atol = max(case.atol, ROUNDED.get(theirs.dtype.name, 0.0) / 10)
    close = np.isclose(ours.astype(np.float64), theirs.astype(np.float64), rtol, atol, equal_nan=True)
    return None if close.all() else f"{int((~close).sum())} of {theirs.size} values differ"
