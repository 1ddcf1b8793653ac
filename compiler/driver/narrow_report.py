"""What fewer bits bought of each tensor, in bytes that are really stored, and of each layer in estimated cycles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from thimble.compiler.ir.graph import Graph, Role, Site, Value
from thimble.compiler.ir.operator import Input, KernelCall, Rounding, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.plan.cycles import CycleModel
from thimble.compiler.plan.kernel_work import NodeWork


def narrow_tensors(graph: Graph, rounding: Rounding, model: CycleModel) -> list[dict[str, Any]]:
    """One row for each int4 or int2 tensor: its bytes and those of the same in int8.

    Weights count all constants of their layer's kernel as it stands in flash, padding included; activations what they
    take in the arena. `saved_cycles_estimate` is what the layer that reads the weights, or makes the activation, would
    take longer with this tensor in int8, by the model that kernels are chosen by; negative where bits cost cycles.
    """
    rows = []
    for index, site in enumerate(graph.sites):
        for position, value in enumerate(site.inputs):
            if value is not None and value.role is Role.CONSTANT and value.type.dtype.is_packed:
                wide = replace(site, inputs=(*site.inputs[:position], _int8(value), *site.inputs[position + 1 :]))
                sizes = constant_bytes(site, rounding), constant_bytes(wide, rounding)
                rows.append(_row(value, "weights", index, sizes, _cycles(site, wide, rounding, model)))
        for position, value in enumerate(site.outputs):
            if value.type.dtype.is_packed:
                wide = replace(site, outputs=(*site.outputs[:position], _int8(value), *site.outputs[position + 1 :]))
                sizes = value.type.bytes, value.type.elements
                rows.append(_row(value, "activation", index, sizes, _cycles(site, wide, rounding, model)))
    return rows


def _row(value: Value, kind: str, layer: int, sizes: tuple[int, int], saved_cycles: int) -> dict[str, Any]:
    return {
        "tensor": value.name,
        "kind": kind,
        "layer": layer,
        "bits": value.type.dtype.bits,
        "bytes": sizes[0],
        "saved_bytes": sizes[1] - sizes[0],
        "saved_cycles_estimate": saved_cycles,
    }


def _int8(value: Value) -> Value:
    return replace(value, type=replace(value.type, dtype=DType.INT8))


def constant_bytes(site: Site, rounding: Rounding) -> int:
    """Bytes of all constants of a node's plain kernels."""
    return call_bytes(site, site.lower(rounding))


def call_bytes(site: Site, calls: Sequence[KernelCall]) -> int:
    """Bytes of all constants of a node's kernels."""
    arguments = [argument for call in calls for argument in call.arguments]
    tables = sum(argument.data.nbytes for argument in arguments if isinstance(argument, Table))
    inputs = {argument.index for argument in arguments if isinstance(argument, Input)}
    return tables + sum(site.input(i).type.bytes for i in inputs if site.input(i).role is Role.CONSTANT)


def _cycles(site: Site, wide: Site, rounding: Rounding, model: CycleModel) -> int:
    """Cycles that a node would take longer as `wide`, run whole."""
    before, after = (model.cycles(NodeWork.of(s, rounding)) for s in (wide, site))
    return round(before - after)
