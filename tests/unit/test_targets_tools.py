"""A missing program is reported with the exact line that installs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from thimble.compiler.ir.errors import ToolMissing
from thimble.targets import tools
from thimble.targets.build import build_firmware
from thimble.targets.model import load_target
from thimble.targets.sim import qemu


@pytest.fixture
def fake_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.usefixtures("fake_path")
def test_nothing_installed() -> None:
    absent = tools.missing()
    assert {tool.name for tool in absent} == {tool.name for tool in tools.TOOLS if not tool.optional}
    assert tools.install_line(absent) == (
        "apt-get install gcc gcc-arm-none-eabi libc6-dev libnewlib-arm-none-eabi make qemu-system-arm"
    )
    assert all(found.path is None and found.version is None for found in tools.find_tools())


@pytest.mark.usefixtures("fake_path")
def test_require_gives_the_install_line() -> None:
    with pytest.raises(ToolMissing, match=r"Install it with: apt-get install qemu-system-arm$"):
        tools.require("qemu-system-arm")
    with pytest.raises(ToolMissing, match=r"apt-get install gcc-riscv64-unknown-elf$"):
        tools.require("riscv64-unknown-elf-gcc")


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205", "12.2.1"),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", "7.2.22"),
        ("GNU Make 4.3", "4.3"),
        ("Debian clang version 14.0.6", "14.0.6"),
        ("a tool that tells no version", None),
    ],
)
def test_version(fake_path: Path, line: str, version: str | None) -> None:
    install(fake_path, "make", f"echo '{line}'")
    assert tools.find_tool(tools.TOOLS[1]).version == version


@pytest.mark.parametrize(
    ("compiler", "chip", "package"),
    [
        ("arm-none-eabi-gcc", "nrf52840", "libnewlib-arm-none-eabi"),
        ("riscv64-unknown-elf-gcc", "ibex", "picolibc-riscv64-unknown-elf"),
    ],
)
def test_compiler_without_its_library(fake_path: Path, compiler: str, chip: str, package: str) -> None:
    install(fake_path, "make", "exit 0")
    install(fake_path, compiler, 'case "$1" in -print-file-name=*) echo "${1#*=}";; esac')
    with pytest.raises(ToolMissing, match=rf"apt-get install {package}$"):
        build_firmware(fake_path, load_target(chip), "model")


def test_build_needs_make_and_compiler(fake_path: Path) -> None:
    with pytest.raises(ToolMissing, match=r"apt-get install make$"):
        build_firmware(fake_path, load_target("nrf52840"), "model")
    install(fake_path, "make", "exit 0")
    with pytest.raises(ToolMissing, match=r"apt-get install gcc-arm-none-eabi$"):
        build_firmware(fake_path, load_target("nrf52840"), "model")


def test_simulation_needs_qemu(fake_path: Path) -> None:
    with pytest.raises(ToolMissing, match=r"apt-get install qemu-system-arm$"):
        qemu.run(fake_path / "model_sim.elf", load_target("nrf52840"), fake_path)
