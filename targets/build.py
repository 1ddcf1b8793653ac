"""Firmware projects: what a chip adds to one, the flags that build it, and the build itself."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jinja2

from thimble.compiler.ir.errors import DoesNotFit, ThimbleError
from thimble.targets import tools
from thimble.targets.model import BOARDS_DIR, Target, simulated_address

DEFAULT_STACK_BYTES = 4096

# Generated C is strict C99 without a warning; -ffp-contract=off keeps float borders equal on every core; no -g,
# since debug information names the build folder.
C_FLAGS = (
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Werror",
    "-ffunction-sections",
    "-fdata-sections",
    "-ffp-contract=off",
    "-fno-asynchronous-unwind-tables",
)
LINK_FLAGS = ("-Wl,--gc-sections", "-Wl,--build-id=none")


@dataclass(frozen=True, slots=True)
class ToolFlags:
    """What a generated Makefile compiles and links with; every path is relative to the project."""

    cc: str
    cflags: tuple[str, ...]
    ldflags_chip: tuple[str, ...]
    ldflags_sim: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FirmwareImages:
    """The same objects linked twice: for the chip's addresses, and for the simulator's with the chip's sizes."""

    chip_elf: Path
    sim_elf: Path


def make_flags(target: Target, optimize: str = "-O2") -> ToolFlags:
    """Flags for `target`: compile each file with `cc cflags -c`, link with `cc ldflags_* -o ELF objects`."""
    link = (*target.cflags, *target.ldflags, *LINK_FLAGS)
    return ToolFlags(
        cc=f"{target.compiler_prefix}gcc",
        cflags=(*target.cflags, optimize, *C_FLAGS),
        ldflags_chip=(*link, "-T", "chip.ld"),
        ldflags_sim=(*link, "-T", "sim.ld"),
    )


def board_files(
    target: Target, stack_bytes: int = DEFAULT_STACK_BYTES, fast_sources: Sequence[str] = ()
) -> dict[str, str]:
    """What the chip adds to a generated project: file name -> text.

    C files of the start-up family and those that all families share, the chip's boot stage where it has one, board.h,
    and the linker scripts chip.ld and sim.ld; the simulator needs no boot stage. `stack_bytes` is the default reserve
    for the stack, a multiple of 8. The code of the C files `fast_sources` is copied to the chip's RAM for code.
    """
    if stack_bytes < 256 or stack_bytes % 8:
        raise ThimbleError(f"A stack of {stack_bytes} bytes is impossible: give a multiple of 8, 256 or more.")
    code = target.code_ram
    if fast_sources and code is None:
        raise ThimbleError(f"{target.name} has no RAM that code runs from faster than from flash.")
    folder = BOARDS_DIR / target.board
    boot_stage = target.boot_stage
    places = [BOARDS_DIR / "common", folder, *([BOARDS_DIR / boot_stage.folder] if boot_stage else [])]
    sources = [path for place in places for path in sorted(place.glob("*.[ch]"))]
    files = {path.name: path.read_text(encoding="utf-8") for path in sources}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    files["board.h"] = environment.get_template("board.h.j2").render(target=target, fast_code=bool(fast_sources))
    script = environment.get_template("link.ld.j2")
    boot_bytes = boot_stage.bytes if boot_stage else 0
    fast_ram = "RAM" if target.fast_ram == target.ram else target.fast_ram.name.upper()
    for name, purpose, at, reserved in (
        ("chip.ld", "the chip's own memory map", lambda memory: memory.origin, boot_bytes),
        (
            "sim.ld",
            f"addresses of the simulator's {target.simulator.machine}, sizes of the chip",
            partial(simulated_address, target),
            0,
        ),
    ):
        files[name] = script.render(
            target=target,
            purpose=purpose,
            flash_origin=at(target.flash),
            ram_origin=at(target.ram),
            boot_bytes=reserved,
            others=[replace(m, origin=at(m)) for m in target.arena_memories[1:]],
            fast_ram=fast_ram,
            fast_objects=" ".join(map(_objects_of, fast_sources)),
            code_origin=None if code is None else code.code_origin if name == "chip.ld" else at(code),
            code_bytes=0 if code is None else code.bytes,
            code_data_origin=at(code) if code is not None and target.code_lies_in_ram else None,
            ram_used_end="__fast_end" if fast_ram == "RAM" else "__bss_end",
            stack_bytes=stack_bytes,
        )
    return files


def _objects_of(source: str) -> str:
    """What the object file of a C file is called by make and by CMake, as a linker script matches it."""
    stem = source.removesuffix(".c")
    return f"*{stem}.o *{stem}.c.o*"


def build_firmware(
    project_dir: Path, target: Target, name: str, log: Callable[[str], None] | None = None
) -> FirmwareImages:
    """Run `make firmware` in a generated project and return build/<name>.elf and build/<name>_sim.elf.

    `log` gets the output of make. Raises ToolMissing; DoesNotFit where a memory of the chip is too small;
    ThimbleError with the compiler's first errors otherwise.
    """
    make = tools.require("make")
    _require_compiler(target)
    jobs = min(4, os.cpu_count() or 1)
    run = subprocess.run(
        [str(make), "-C", str(project_dir), f"-j{jobs}", "--output-sync", "--no-print-directory", "firmware"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env=_build_environment(),
        check=False,
    )
    if log is not None:
        log(run.stdout)
    if run.returncode != 0:
        raise build_error(run.stdout, target)
    images = FirmwareImages(project_dir / "build" / f"{name}.elf", project_dir / "build" / f"{name}_sim.elf")
    for elf in (images.chip_elf, images.sim_elf):
        if not elf.is_file():
            raise ThimbleError(f"`make firmware` in {project_dir} ended well but made no {elf.name}.")
    return images


def object_file(project_dir: Path, source: str) -> Path:
    """What `build_firmware` compiled a C file to."""
    return project_dir / "build" / "firmware" / f"{source.removesuffix('.c')}.o"


def build_error(output: str, target: Target) -> ThimbleError:
    """The error that a failed build's output means: DoesNotFit for an overflowed memory, else the first errors."""
    overflows: dict[str, int] = {}
    for region, count in re.findall(r"region [`'](\w+)' overflowed by (\d+) byte", output):
        overflows[region] = max(overflows.get(region, 0), int(count))
    if overflows:
        return _does_not_fit(overflows, target)
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error: |undefined reference|multiple definition", line)]
    shown = "\n  ".join((errors or lines)[:5])
    return ThimbleError(f"The firmware for {target.name} does not build:\n  {shown}")


def _does_not_fit(overflows: dict[str, int], target: Target) -> DoesNotFit:
    """One sentence a memory; the numbers are those of a RAM where one overflows, else of the flash."""
    have = {m.name.upper(): m.bytes for m in target.arena_memories[1:]}
    have |= {"RAM": target.ram_bytes, "FLASH": target.flash_bytes}
    have |= {} if target.code_ram is None else {"CODE": target.code_ram.bytes}
    parts = [
        f"{have[region] + over} bytes of {region}, {over} more than its {have[region]}"
        for region, over in sorted(overflows.items(), reverse=True)
    ]
    region = next((name for name in ("RAM", *have) if name in overflows and name != "FLASH"), "FLASH")
    return DoesNotFit(
        f"The firmware does not fit {target.name}: it needs {' and '.join(parts)}.",
        need_bytes=have[region] + overflows[region],
        have_bytes=have[region],
    )


def _require_compiler(target: Target) -> None:
    """Raise ToolMissing unless the target's compiler, and the C library that its flags name, are here."""
    tools.require(f"{target.compiler_prefix}gcc")
    for specs, library in (("nano.specs", "newlib-nano"), ("picolibc.specs", "picolibc")):
        if f"--specs={specs}" in (*target.cflags, *target.ldflags):
            tools.require(library)


def _build_environment() -> dict[str, str]:
    """English messages, since they are read here, and nothing of a make that Thimble itself runs under."""
    dropped = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEFILES", "LANGUAGE"}
    return {**{key: value for key, value in os.environ.items() if key not in dropped}, "LC_ALL": "C"}
