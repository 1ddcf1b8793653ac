"""Pieces of C text: identifiers, comments, literals and array initializers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from thimble.compiler.ir.operator import Array, ParamValue
from thimble.compiler.ir.types import DType

LINE_WIDTH = 116
_C_WORDS = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    main board semihosting startup arena
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
"""C's keywords, and the names that a generated project uses itself."""


def identifier(text: str) -> str:
    """A lower-case C identifier from a name that the user chose, such as a file's; never a word of C."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:48] or "model"
    if name[0].isdigit() or name in _C_WORDS or name.startswith("thimble"):
        name = f"model_{name}"
    return name


def comment_text(text: str, limit: int = 96) -> str:
    """Text of the source model made harmless inside a C comment, whatever it holds."""
    safe = re.sub(r"[^A-Za-z0-9 _.,:;()\[\]/+=<>#@-]", "_", text)
    safe = safe.replace("*/", "__").replace("/*", "__").replace("//", "/_")
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."


def integer(value: int) -> str:
    """An integer literal; the most negative values have no literal of their own in C."""
    if value == -(1 << 31):
        return "INT32_MIN"
    if value == -(1 << 63):
        return "INT64_MIN"
    return str(value) if -(1 << 31) < value < (1 << 31) else f"INT64_C({value})"


def real(value: float) -> str:
    """A float literal that reads back as the same float32."""
    number = np.float32(value)
    if not np.isfinite(number):
        raise ValueError(f"{value} has no C literal")
    text = str(number)
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def literal(value: ParamValue) -> str:
    """The initializer of one params field."""
    if isinstance(value, tuple):
        return "{" + ", ".join(integer(v) for v in value) + "}"
    return real(value) if isinstance(value, float) else integer(int(value))


def array_lines(data: Array) -> list[str]:
    """The elements of an array as wrapped lines of literals."""
    flat = data.reshape(-1)
    if data.dtype == np.float32:
        return wrap(real(float(v)) for v in flat)
    return wrap(integer(int(v)) for v in flat)


def wrap(items: Iterable[str]) -> list[str]:
    """Items joined by commas into lines that fit the width."""
    lines: list[str] = []
    line = ""
    for item in items:
        if line and len(line) + len(item) + 2 > LINE_WIDTH:
            lines.append(line)
            line = ""
        line += f"{' ' if line else ''}{item},"
    return [*lines, line] if line else lines


def call(function: str, arguments: Sequence[str], indent: int = 4) -> str:
    """A call statement, its arguments wrapped and aligned behind the opening parenthesis."""
    column = indent + len(function) + 1
    lines = [" " * indent + function + "("]
    for position, argument in enumerate(arguments):
        item = argument + (", " if position + 1 < len(arguments) else ");")
        if len(lines[-1]) + len(item.rstrip()) > LINE_WIDTH and lines[-1].strip() != function + "(":
            lines[-1] = lines[-1].rstrip()
            lines.append(" " * column)
        lines[-1] += item
    return "\n".join(lines) if arguments else lines[-1] + ");"


def c_type(data: Array) -> str:
    """The C type of an array's elements."""
    return DType(data.dtype.name).c_name


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as it stands in comments: (1, 28, 28, 3)."""
    return f"({', '.join(map(str, shape))})"
