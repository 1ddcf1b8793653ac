"""The matrix product of columns in parts, one for each row of their windows: for little scratch.

Four columns of one row of a window lie in scratch as in matmul.py. Between parts the sums of all channels wait in
scratch. The first part begins with the biases, the last one requantizes.
"""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import Frame, Listing, registers
from thimble.codegen.armv7em.matmul import UNROLL, multiply_panel
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.armv7em.sums import (
    CONSTANTS,
    SUMS,
    Arithmetic,
    join_channels,
    keep_constants,
    next_pair,
    requantize,
    start_sums,
)
from thimble.compiler.ir.operator import GeneratedKernel

_JOB = (
    *("panel", "weights", "pair_bytes", "part_offset", "part_bytes", "sums", "outputs", "channels"),
    *("ceiling", "offset"),
)
_FAST = ("weights_end", "sums", "channel", "part_offset", "ceiling", "offset", *CONSTANTS)
_NAMES = (*_JOB, "channel", "pairs_done", "weights_end", *CONSTANTS)


@dataclass(frozen=True, slots=True)
class PartialMatmulForm:
    """What one function is generated for: `first_steps` is the words of a row of a window modulo UNROLL."""

    arithmetic: Arithmetic
    first_steps: int

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{self.arithmetic.name}{self.first_steps}"

    @property
    def comment(self) -> str:
        """What the form means, for the reader of the C."""
        return f"{self.arithmetic.comment} The words of a row of a window modulo {UNROLL} are {self.first_steps}."


def partial_matmul_listing(form: PartialMatmulForm, has_fpu: bool) -> Listing:
    """The function of a form, to be called with a thimble_partial_matmul_job."""
    a, frame = Listing(f"thimble_partial_matmul_dsp_{form.name}"), Frame(_NAMES, _FAST, has_fpu)
    frame.begin(a, _JOB)
    a.op("movs", "r0", "#0")
    frame.store(a, "r0", "channel")
    frame.store(a, "r0", "pairs_done")
    a.label("pair", "4 columns, 2 channels")
    _start_pair(a, frame, form)
    multiply_panel(a, frame, form.arithmetic, form.first_steps)
    frame.load(a, "r2", "weights")
    frame.load(a, "r0", "sums")
    a.op("subs", "r2", f"#{form.arithmetic.behind_bytes}", note="where the part ends that is the last one")
    a.op("cmp", "r1", "r2")
    a.branch("beq", "last")
    a.op("stm", "r0!", registers(SUMS))
    frame.store(a, "r0", "sums")
    a.branch("b", "next")
    a.label("last")
    a.op("adds", "r0", f"#{4 * len(SUMS)}")
    frame.store(a, "r0", "sums")
    _write(a, frame, form.arithmetic)
    a.label("next")
    next_pair(a, frame, "pair")
    return a


def _start_pair(a: Listing, frame: Frame, form: PartialMatmulForm) -> None:
    """r0 at the panel, r1 4 bytes low of the part's weights, the sums from biases or from where they waited."""
    frame.load(a, "r1", "weights")
    frame.load(a, "r3", "pair_bytes")
    a.op("add", "r3", "r3", "r1")
    frame.store(a, "r3", "weights")
    keep_constants(a, frame, form.arithmetic)
    frame.load(a, "r2", "part_offset")
    frame.load(a, "r3", "part_bytes")
    a.op("adds", "r1", "#4")
    a.op("add", "r1", "r1", "r2")
    a.op("add", "r3", "r3", "r1")
    frame.store(a, "r3", "weights_end")
    a.op("cmp", "r2", "#0")
    a.branch("beq", "first")
    frame.load(a, "r0", "sums")
    a.op("ldm", "r0", registers(SUMS))
    a.branch("b", "ready")
    a.label("first")
    start_sums(a, frame)
    a.label("ready")
    frame.load(a, "r0", "panel")


def _write(a: Listing, frame: Frame, arithmetic: Arithmetic) -> None:
    """Both channels of each column to where its pixel lies."""
    requantize(a, frame, arithmetic)
    join_channels(a, frame, arithmetic)
    frame.load(a, "r0", "outputs")
    a.op("ldm", "r0", "{r2-r5}", note="four pixels")
    frame.load(a, SUMS[1], "channel")
    for total, pixel in zip(SUMS[::2], ("r2", "r3", "r4", "r5"), strict=True):
        a.op("strh", total, f"[{pixel}, {SUMS[1]}]")


def conv_2d_partial_source(form: PartialMatmulForm, has_fpu: bool) -> GeneratedKernel:
    """The files of kernel conv_2d_partial_dsp_<form>: the assembly, its twin, and the kernel that uses them."""
    name = f"thimble_conv_2d_partial_dsp_{form.name}"
    listing = partial_matmul_listing(form, has_fpu)
    files = kernel_files(name, "conv_2d_partial_dsp", form=form, assembly=listing.text)
    return GeneratedKernel(files, needs=("columns_dsp",))
