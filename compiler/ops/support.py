"""What Thimble can make firmware of: the limits of every operator, checked over a whole graph."""

from __future__ import annotations

from collections.abc import Sequence

from thimble.compiler.ir.errors import UnsupportedOp, quoted
from thimble.compiler.ir.graph import Graph, Role, Site, Value
from thimble.compiler.ir.operator import Constraint
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.cast import Cast
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.quantize import Quantize

_CONVERSIONS = (Cast, Dequantize, Quantize)


def check_supported(graph: Graph) -> None:
    """Raise UnsupportedOp, with every blocker, if no firmware can be made of the graph; for after quantization."""
    blockers = [f"{site.source}: {reason}" for site in graph.sites if (reason := limit_broken(site)) is not None]
    blockers += [
        f"Tensor {quoted(graph.values[i].name)} is {graph.values[i].type.dtype.value}: inputs, outputs and states must "
        "have whole bytes an element. Put a QUANTIZE beside it."
        for i in (*graph.inputs, *graph.outputs, *graph.states)
        if graph.values[i].type.dtype.is_packed
    ]
    if blockers:
        raise unsupported(blockers)


def unsupported(blockers: Sequence[str]) -> UnsupportedOp:
    """The error that lists all blockers of a model."""
    count = len(blockers)
    summary = f"The model is not supported: {count} blocker{'s' if count > 1 else ''}; the first: {blockers[0]}"
    return UnsupportedOp(summary, tuple(blockers))


def limit_broken(site: Site) -> str | None:
    """The first limit that a node breaks, and what to do; None where it is supported."""
    limits = (_no_packed_operands, *site.op.constraints)
    broken = next((c for c in limits if not _holds(c, site)), None)
    return None if broken is None else _reason(broken.__doc__ or "", site)


def _no_packed_operands(site: Site) -> bool:
    """This operator has no kernel for int4 or int2 values: they must be made int8 by a QUANTIZE before it."""
    values = (*site.inputs, *site.outputs)
    return site.op.takes_packed or not any(value is not None and value.type.dtype.is_packed for value in values)


def computes_in_float(site: Site) -> bool:
    """Whether a node computes on float32, which quantization is to change; conversions to and from float do not."""
    return not isinstance(site.op, _CONVERSIONS) and any(v.type.dtype is DType.FLOAT32 for v in _activations(site))


def is_plain(site: Site) -> bool:
    """Whether a node works on plain numbers: floats, or integers of which none carries a quantization."""
    values = _activations(site) or [v for v in site.inputs if v is not None]
    return any(v.type.dtype is DType.FLOAT32 for v in values) or all(v.type.quant is None for v in values)


def _activations(site: Site) -> list[Value]:
    values = (*site.inputs, *site.outputs)
    return [value for value in values if value is not None and value.role is not Role.CONSTANT]


def _reason(limit: str, site: Site) -> str:
    limit = " ".join(limit.split())
    values = [v for v in (*site.inputs, *site.outputs) if v is not None]
    if any(v.type.dtype is DType.FLOAT32 and v.role is not Role.CONSTANT for v in values):
        return f"It computes in float32. {limit} Quantize the model to int8 first: --quantize."
    if any(v.type.dtype is DType.UINT8 for v in values):
        return f"It computes in uint8, the quantization of old converters. {limit} Convert the model again to int8."
    return f"{limit} Change the model there."


def _holds(constraint: Constraint, site: Site) -> bool:
    """Whether a constraint holds; a missing quantization or input counts as not holding."""
    try:
        return bool(constraint(site))
    except ValueError:
        return False
