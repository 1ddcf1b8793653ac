"""Axes as model files give them: possibly negative, possibly out of range."""

from __future__ import annotations

from thimble.compiler.ir.errors import MalformedModel


def wrap_axis(axis: int, rank: int, where: str) -> int:
    """`axis` counted from 0, where a negative one counts from the end; MalformedModel if it is none of `rank`."""
    if not -rank <= axis < rank:
        raise MalformedModel(f"{where} names axis {axis} of a tensor with {rank} dimensions.")
    return axis % rank
