"""The generated project keeps its promises: small, self-contained, deterministic, warning-free, without globals."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

import thimble
from tests.tflite_builder import ModelBuilder
from thimble.compiler.driver import demo
from thimble.targets.model import list_targets, load_target

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
NAME = "fashion_mnist_int8"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("project") / "out"
    thimble.compile(demo.model_path(), "stm32l4r5zi", out)
    return out


def sources(build: Path) -> list[Path]:
    """The C files that go into a user's firmware."""
    harness = {"main.c", "host_main.c", "startup.c", "semihosting.c"}
    return sorted(path for path in build.glob("*.c") if path.name not in harness)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compiles_without_a_warning(build: Path, compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    for source in [*sources(build), build / "host_main.c"]:
        for level in ("-O0", "-O2"):
            command = [compiler, *STRICT, level, "-c", str(source), "-o", str(tmp_path / "x.o")]
            assert subprocess.run(command, check=False).returncode == 0, source.name


def test_no_heap_no_stdio_no_libm(build: Path) -> None:
    allowed = {"stdint.h", "string.h", "stddef.h", "limits.h"}
    for source in [*sources(build), *build.glob("*.h")]:
        text = source.read_text()
        assert set(re.findall(r"#include <(.*?)>", text)) <= allowed, source.name
        assert not re.search(r"\b(malloc|calloc|realloc|free|printf|assert)\s*\(", text), source.name


def test_model_and_kernels_have_no_writable_globals(build: Path) -> None:
    for source in sources(build):
        with (build / "build" / "firmware" / f"{source.stem}.o").open("rb") as file:
            elf = ELFFile(file)
            for section in elf.iter_sections():
                if section.name.startswith((".data", ".bss")):
                    assert section["sh_size"] == 0, f"{source.name}: {section.name}"


def test_two_instances_do_not_disturb_each_other(build: Path, tmp_path: Path) -> None:
    (tmp_path / "two.c").write_text(
        f"""#include "{NAME}.h"
        #include <stdio.h>
        #include <string.h>
        static uint8_t a[{NAME.upper()}_ARENA_BYTES] __attribute__((aligned(16)));
        static uint8_t b[{NAME.upper()}_ARENA_BYTES] __attribute__((aligned(16)));
        static int8_t first[10];
        int main(void) {{
            if ({NAME}_init(a) != 0 || {NAME}_init(b) != 0 || {NAME}_init(a + 1) == 0 || {NAME}_init(0) == 0) return 1;
            memset({NAME}_input_0(a), 50, {NAME.upper()}_INPUT_0_BYTES);
            {NAME}_invoke(a);
            memcpy(first, {NAME}_output_0(a), 10);
            memset({NAME}_input_0(b), -100, {NAME.upper()}_INPUT_0_BYTES);
            {NAME}_invoke(b);
            return memcmp(first, {NAME}_output_0(a), 10) != 0 || memcmp(first, {NAME}_output_0(b), 10) == 0;
        }}"""
    )
    command = ["gcc", "-std=c99", f"-I{build}", str(tmp_path / "two.c"), *map(str, sources(build)), "-o"]
    subprocess.run([*command, str(tmp_path / "two")], check=True)
    assert subprocess.run([str(tmp_path / "two")], check=False).returncode == 0


def test_one_byte_less_of_arena_does_not_compile(build: Path, tmp_path: Path) -> None:
    header = (build / f"{NAME}.h").read_text()
    bytes_ = int(re.search(r"_ARENA_BYTES (\d+)", header).group(1))
    main = build / "host_main.c"
    for given, works in ((bytes_, True), (bytes_ - 1, False)):
        flag = f"-D{NAME.upper()}_ARENA_BYTES={given}"
        done = subprocess.run(["gcc", *STRICT, flag, "-c", str(main), "-o", str(tmp_path / "x.o")], capture_output=True)
        assert (done.returncode == 0) == works
        array = f'#include "{NAME}.h"\nstatic uint8_t mine[{given}];\n{NAME.upper()}_ASSERT_ARENA(mine);\n'
        array += "uint8_t *give(void);\nuint8_t *give(void) { return mine; }\n"
        (tmp_path / "app.c").write_text(array)
        command = ["gcc", *STRICT, f"-I{build}", "-c", str(tmp_path / "app.c"), "-o", str(tmp_path / "x.o")]
        assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) == works


def test_two_compilations_are_byte_identical(build: Path, tmp_path: Path) -> None:
    again = tmp_path / "another" / "place"
    thimble.compile(demo.model_path(), "stm32l4r5zi", again)
    first = {p.relative_to(build): p.read_bytes() for p in build.rglob("*") if p.is_file()}
    second = {p.relative_to(again): p.read_bytes() for p in again.rglob("*") if p.is_file()}
    for path in second:
        assert first[path] == second[path], f"{path} differs"
    assert str(tmp_path).encode() not in b"".join(second.values())


def test_report_equals_the_elf(build: Path) -> None:
    report = thimble.compile(demo.model_path(), "stm32l4r5zi", build)
    memory = report["memory"]
    output = subprocess.run(
        ["arm-none-eabi-size", "-A", str(build / "build" / f"{NAME}.elf")], capture_output=True, text=True, check=True
    ).stdout
    sections = {m[1]: int(m[2]) for m in re.finditer(r"^(\.[\w.]+)\s+(\d+)\s+\d+$", output, re.M)}
    static = sections.get(".data", 0) + sections.get(".bss", 0)
    flash = sum(sections.get(s, 0) for s in (".vectors", ".text", ".rodata", ".data", ".ARM.exidx"))
    assert memory["arena_bytes"] + memory["static_ram_bytes"] == static
    assert memory["sram_total_bytes"] == static + memory["stack_bytes"]
    assert 0 <= memory["flash_total_bytes"] - flash < 16  # gaps between sections
    assert memory["weights_bytes"] + memory["code_bytes"] == memory["flash_total_bytes"]
    assert 64 <= memory["stack_bytes"] < 4096


@pytest.mark.parametrize("name", list_targets())
def test_every_target_links_at_its_own_addresses_and_verifies(name: str, tmp_path: Path) -> None:
    target = load_target(name)
    thimble.compile(demo.model_path(), name, tmp_path / "out")
    with (tmp_path / "out" / "build" / f"{NAME}.elf").open("rb") as file:
        loads = [s for s in ELFFile(file).iter_segments() if s["p_type"] == "PT_LOAD" and s["p_filesz"]]
        for segment in loads:
            assert target.flash.origin <= segment["p_paddr"] < target.flash.end
    report = thimble.verify(tmp_path / "out", demo.samples_path(), samples=3)
    assert report["verify"]["mismatched_values"] == 0


def test_cmake_builds_the_library(build: Path, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    subprocess.run(["cmake", "-S", str(build), "-B", str(tmp_path)], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", str(tmp_path)], check=True, capture_output=True)
    cross = [f"-DCMAKE_C_COMPILER={shutil.which('arm-none-eabi-gcc')}", "-DCMAKE_SYSTEM_NAME=Generic"]
    cross.append("-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY")
    arm = tmp_path / "arm"
    subprocess.run(["cmake", "-S", str(build), "-B", str(arm), *cross], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", str(arm)], check=True, capture_output=True)


HOSTILE = '*/ int x; /* "\\ \n ??/ ${x} {{ 7*7 }} 名前 %s </script><b>'


def test_hostile_names_stay_in_comments(tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.tensor((1, 4), np.int8, 0.5, 0, name=HOSTILE)
    w = m.tensor((2, 4), np.int8, 0.1, 0, data=np.ones((2, 4)), name=HOSTILE)
    y = m.tensor((1, 2), np.int8, 0.5, 0, name=HOSTILE)
    m.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnectedOptions")
    m.interface([x], [y])
    path = tmp_path / "int main; ☃ #.tflite"
    path.write_bytes(m.build())
    out = tmp_path / "out"
    thimble.compile(path, "nrf52840", out)
    report = thimble.verify(out, samples=2)
    assert report["verify"]["mismatched_values"] == 0
    for source in out.glob("*.[ch]"):
        assert source.read_text(encoding="utf-8").isascii(), source.name
    assert "</script><b>" not in thimble.report(out).read_text(encoding="utf-8")
