"""Bytes of flash by layer: constants by their names, code of the layer's function and of its kernel's own file."""

from __future__ import annotations

from thimble.codegen.project import Project
from thimble.compiler.driver.layer_flash import LayerFlash, flash_by_layer
from thimble.targets.elf import ElfSizes, Symbol

FILES = {
    "thimble_conv_2d_rows_dsp_x.c": '".global thimble_rows_matmul_dsp_x\\n"\nvoid thimble_conv_2d_rows_dsp_x() {}\n',
    "thimble_softmax_s8.c": "void thimble_softmax_s8(void) {}\n",
}
FUNCTIONS = {
    "layer_00_conv_2d": 60,
    "layer_01_conv_2d_part_0": 20,
    "layer_01_conv_2d_part_1": 30,
    "layer_10_conv_2d": 1000,
    "layer_02_softmax": 40,
    "thimble_conv_2d_rows_dsp_x": 24,
    "thimble_rows_matmul_dsp_x": 900,
    "thimble_wide_rows_dsp": 800,
    "thimble_softmax_s8": 300,
}
OBJECTS = {"net_layer_00_packed": 512, "net_layer_01_packed": 256, "net_layer_10_packed": 4096, "other": 7}


def test_each_layer_has_its_constants_and_all_code_of_its_kernel() -> None:
    symbols = [Symbol(name, ".text", 0, size, "function") for name, size in FUNCTIONS.items()]
    symbols += [Symbol(name, ".rodata", 0, size, "object") for name, size in OBJECTS.items()]
    sizes = ElfSizes(0, 0, 0, 0, 0, 0, 0, 0, 0, tuple(symbols))
    kernels = {0: ("conv_2d_rows_dsp_x",), 1: ("conv_2d_rows_dsp_x",), 2: ("softmax_s8",)}
    project = Project("net", FILES, 0, kernels, {}, ())
    assert flash_by_layer(project, sizes, ["conv_2d", "conv_2d", "softmax", "reshape"]) == [
        LayerFlash(512, 60 + 924, 2),
        LayerFlash(256, 50 + 924, 2),
        LayerFlash(0, 40 + 300, 1),
        LayerFlash(0, 0, 0),
    ]
