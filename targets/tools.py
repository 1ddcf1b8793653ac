"""The programs that Thimble calls: what each is for, its Debian package, and whether it is here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from thimble.compiler.ir.errors import ToolMissing


@dataclass(frozen=True, slots=True)
class Tool:
    """An external program, or a file that belongs to one.

    With `file`, the tool is that file, which the compiler `program` must find on its search path. `packages` are
    Debian's; an `optional` tool is only reported.
    """

    name: str
    program: str
    purpose: str
    packages: tuple[str, ...]
    file: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class FoundTool:
    """A tool with its place and the version it reports; both None where it is missing."""

    tool: Tool
    path: Path | None
    version: str | None


TOOLS: tuple[Tool, ...] = (
    Tool("cc", "cc", "compiles the generated C for this computer", ("gcc", "libc6-dev")),
    Tool("make", "make", "builds the generated project", ("make",)),
    Tool("arm-none-eabi-gcc", "arm-none-eabi-gcc", "compiles for Arm Cortex-M", ("gcc-arm-none-eabi",)),
    Tool(
        "newlib-nano",
        "arm-none-eabi-gcc",
        "memcpy and memset for Arm Cortex-M",
        ("libnewlib-arm-none-eabi",),
        file="nano.specs",
    ),
    Tool("qemu-system-arm", "qemu-system-arm", "runs Arm firmware", ("qemu-system-arm",)),
    Tool(
        "riscv64-unknown-elf-gcc",
        "riscv64-unknown-elf-gcc",
        "compiles for RISC-V (targets ibex)",
        ("gcc-riscv64-unknown-elf",),
        optional=True,
    ),
    Tool(
        "picolibc",
        "riscv64-unknown-elf-gcc",
        "memcpy and memset for RISC-V",
        ("picolibc-riscv64-unknown-elf",),
        file="picolibc.specs",
        optional=True,
    ),
    Tool("verilator", "verilator", "makes the RTL of RISC-V chips a program", ("verilator",), optional=True),
    Tool("c++", "g++", "compiles what Verilator makes", ("g++",), optional=True),
    Tool("clang", "clang", "second compiler for the generated C", ("clang",), optional=True),
)


def find_tool(tool: Tool) -> FoundTool:
    """Look for one tool on PATH and ask its version."""
    program = shutil.which(tool.program)
    if program is None:
        return FoundTool(tool, None, None)
    if tool.file is None:
        return FoundTool(tool, Path(program).absolute(), _version(program))
    # GCC answers with the bare name when it has no such file.
    answer = Path(os.path.normpath(_output([program, f"-print-file-name={tool.file}"])))
    return FoundTool(tool, answer, None) if answer.is_absolute() else FoundTool(tool, None, None)


def find_tools(tools: Iterable[Tool] = TOOLS) -> tuple[FoundTool, ...]:
    """All tools with where they are and which version; for `thimble doctor`."""
    return tuple(find_tool(tool) for tool in tools)


def missing(tools: Iterable[Tool] = TOOLS) -> tuple[Tool, ...]:
    """The tools that are needed and not here."""
    return tuple(found.tool for found in find_tools(tools) if found.path is None and not found.tool.optional)


def install_line(tools: Iterable[Tool]) -> str:
    """The one Debian command that installs `tools`; packages sorted, each once."""
    packages = sorted({package for tool in tools for package in tool.packages})
    return f"apt-get install {' '.join(packages)}"


def require(name: str) -> Path:
    """Path of the tool `name` (of TOOLS, or any program), or ToolMissing with the line that installs it."""
    found = find_tool(_tool_named(name))
    if found.path is None:
        tool = found.tool
        raise ToolMissing(f"{tool.name} is not installed ({tool.purpose}). Install it with: {install_line([tool])}")
    return found.path


def version_of(name: str) -> str | None:
    """The version that a tool reports; None where it is missing or tells none."""
    return find_tool(_tool_named(name)).version


def _tool_named(name: str) -> Tool:
    for tool in TOOLS:
        if tool.name == name:
            return tool
    return Tool(name, name, "needed by this target", (name,))


def _output(command: list[str]) -> str:
    """Standard output of a command that ends by itself; empty where it fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip()


def _version(program: str) -> str | None:
    """First number with a dot in what `--version` says, as GNU tools, clang, QEMU and Verilator print it."""
    first_line = _output([program, "--version"]).partition("\n")[0]
    # Debian puts its own package version in parentheses before the upstream one.
    match = re.search(r"\d+\.\d+(\.\d+)*", re.sub(r"\([^)]*\)", "", first_line))
    return match.group(0) if match else None
