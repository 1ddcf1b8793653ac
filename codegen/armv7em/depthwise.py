"""Depthwise convolution along planes: four channels at a time, one after the other, some outputs of a row at once.

The rows that some output rows need are laid out first as planes of int16, borders included, so that one SMLAD makes two
products; the words of four channels lie side by side (depthwise_fill.py). Element 0 of a plane's row lies under the
first tap of the row's first output. Word i of the weights of a kernel row holds taps i and i + 1: windows that begin at
an even element take words 0, 2, ..., those that begin at an odd one 1, 3, ..., and a tap that is left over at either
end takes one half of a word: SMLABB, SMLABT, SMLATB. Weights are multiplied by a power of 2 of their channel, so that
all channels need the same last shift, which SSAT has for free.
"""

from __future__ import annotations

from itertools import product

from thimble.codegen.armv7em.assembly import Frame, Listing, add_signed, registers
from thimble.codegen.armv7em.depthwise_fill import FILLED_JOB, JOB, LANES, NAMES, WORD_BYTES, fill_function
from thimble.codegen.armv7em.depthwise_form import RESIDENT, SUMS, Block, DepthwiseForm, row_code, unrolls_rows
from thimble.codegen.armv7em.depthwise_sums import looped_rows, resident_rows, streamed_rows
from thimble.codegen.armv7em.depthwise_unpack import unpack_channel


def depthwise_listing(form: DepthwiseForm) -> Listing:
    """The function of a form, to be called with a thimble_planes_job."""
    return _Writer(form).listing()


class _Writer:
    """Writes the assembly of one form."""

    def __init__(self, form: DepthwiseForm) -> None:
        self._form, self._code = form, row_code(form)
        self._a = Listing(f"thimble_depthwise_dsp_{form.name}", output_apart=True)  # planes are filled by others
        self._frame = Frame(NAMES, NAMES, form.has_fpu)
        self._loops = 0
        self._unrolls_rows = unrolls_rows(form, self._code)

    def listing(self) -> Listing:
        a = self._a
        a.op("push", registers(["r4-r11", "lr"]))
        a.op("sub", "sp", "sp", f"#{self._frame.bytes}")
        job = FILLED_JOB if self._form.filled else JOB
        for at in range(0, len(job), 8):
            names = job[at : at + 8]
            a.op("ldm", "r0!", registers([f"r{i}" for i in range(1, len(names) + 1)]), note="the job's fields")
            for register, name in enumerate(names, start=1):
                self._frame.store(a, f"r{register}", name)
        a.op("movs", "r0", "#0")
        self._frame.store(a, "r0", "channel")
        self._start_quad()
        self._load_channel()
        a.op(".balign", 4, note="what follows has few short instructions, and those in pairs: fetching keeps up then")
        a.label("row")
        self._row()
        self._next()
        return a

    def _start_quad(self) -> None:
        """Fill the planes of the next four channels; of the last ones behind whole fours, the last lanes count."""
        a, frame = self._a, self._frame
        a.label("quad", "four channels")
        if self._form.filled:
            frame.load(a, "r3", "planes")
            frame.store(a, "r3", "x")
            return
        frame.load(a, "r1", "channel")
        frame.load(a, "r2", "channels")
        frame.load(a, "r3", "planes")
        a.op("subs", "r2", "r2", "r1")
        a.op("rsbs", "r2", "r2", f"#{LANES}", note="lanes that were made before")
        a.op("it", "lt")
        a.op("movlt", "r2", "#0")
        a.op("subs", "r1", "r1", "r2")
        a.op("add", "r3", "r3", "r2", "lsl #2")
        frame.store(a, "r1", "from")
        frame.store(a, "r3", "x")
        a.op("bl", fill_function(self._form.fill))

    def _load_channel(self) -> None:
        """Weights and constants of the channel; the first row of its plane and of the outputs."""
        a, frame, form = self._a, self._frame, self._form
        count = len(form.words) * form.kernel_height
        a.label("channel")
        frame.load(a, "r1", "packed")
        if form.compact:
            unpack_channel(a, frame, form)
        elif form.resident:
            a.op("ldm", "r1!", registers(RESIDENT[:count]), note="weights")
        else:
            frame.store(a, "r1", "weights")
            a.op("add", "r1", "r1", f"#{4 * count}")
            frame.store(a, "r1", "weights_end")
        held = SUMS[: len(form.constants)]
        a.op("ldm", "r1!", registers(held), note=", ".join(form.constants))
        frame.store(a, "r1", "packed")
        for register, name in zip(held, form.constants, strict=True):
            frame.store(a, register, name)
        frame.load(a, "r3", "outputs")
        frame.load(a, "r0", "x")
        if form.joined:
            self._start_joined_rows()

    def _start_joined_rows(self) -> None:
        """Where the channel's outputs begin, and its rows in the plane end: r0 is at the first, r3 at their places."""
        a, frame, form = self._a, self._frame, self._form
        frame.load(a, "r2", "outputs_end")
        a.op("subs", "r2", "r2", "r3", note="4 bytes a row")
        a.op("movw", "r1", f"#{form.stride_height * form.row_bytes // 4}")
        a.op("mla", "r2", "r2", "r1", "r0")
        frame.store(a, "r2", "rows_end")
        a.op("ldr", "r1", "[r3]", note="the first output row")
        frame.load(a, "r2", "channel")
        a.op("add", "r1", "r1", "r2")
        frame.store(a, "r1", "output")

    def _row(self) -> None:
        """A row of outputs, or two: r0 is at the row of the plane, r3 at the place of the output row's address."""
        a, frame, code = self._a, self._frame, self._code
        if not self._form.joined:
            frame.load(a, "r1", "channel")
            a.op("ldr", "r2", "[r3], #4", note="the output row")
            frame.store(a, "r3", "next_row")
            a.op("add", "r3", "r1", "r2")
            frame.store(a, "r3", "output")
        if code.turns > 1:
            add_signed(a, "r2", "r0", code.turns * self._looped_bytes, free="r1")
            frame.store(a, "r2", "row_end")
            a.label("turn")
        if code.turns:
            self._blocks(code.looped, move=True)
        if code.turns > 1:
            frame.load(a, "r2", "row_end")
            a.op("cmp", "r0", "r2")
            a.branch("bne", "turn")
        if code.turns and code.rest:
            a.op(".balign", 4)
        first = code.turns * code.looped_outputs
        self._blocks(tuple(Block(b.first - first, b.count) for b in code.rest), move=False)

    @property
    def _looped_bytes(self) -> int:
        """What one turn moves on in the planes."""
        return self._code.looped_outputs * self._form.stride_width // 2 * WORD_BYTES

    def _blocks(self, blocks: tuple[Block, ...], move: bool) -> None:
        """Blocks from r0 on; with `move`, r0 and the output then point behind them."""
        a = self._a
        for block in blocks:
            self._block(block)
            self._store(block, last=not move and block is blocks[-1] and not self._form.joined)
        if move:
            if not self._form.compact:
                output = self._output(blocks[-1])
                add_signed(a, output, output, self._code.looped_outputs * self._form.step_bytes, free="r2")
                self._frame.store(a, output, "output")
            add_signed(a, "r0", "r0", self._looped_bytes, free="r1")

    def _block(self, block: Block) -> None:
        a, frame, form = self._a, self._frame, self._form
        if form.resident:
            resident_rows(a, frame, form, block)
        elif self._unrolls_rows:
            streamed_rows(a, frame, form, block)
        else:
            looped_rows(a, frame, form, block, f"kernel_row_{self._loops}")
            self._loops += 1
        self._requantize(block)

    def _requantize(self, block: Block) -> None:
        """The sums to bytes; r1 and r2 are free, and r3 where no sum is in it. Ends with where the bytes go.

        An address is late right behind the instruction that makes it, so that this one is the last but one.
        """
        a, frame, form = self._a, self._frame, self._form
        sums, shift = form.sums(block.count), f"asr #{form.total_shift}"
        frame.load(a, "r1", "multiplier")
        if not form.no_addend:
            frame.load(a, "r2", "addend")
        for total in sums:
            if form.rounds_ties:
                a.op("asr", "r3", total, "#31")
            if form.no_addend:
                a.op("smmul", total, total, "r1")
            else:
                a.op("smmla", total, total, "r1", "r2")
            if form.rounds_ties:
                a.op("add", total, total, "r3", f"lsl #{form.scale_bits - 1}", note="halves away from zero")
        if form.total_shift is None:
            frame.load(a, "r1", "shift")
            for total in sums:
                a.op("asr", total, total, "r1")
        saturation = ("usat" if form.clamps else "ssat", "#8", *((shift,) if form.total_shift is not None else ()))
        steps = [(saturation[0], total, saturation[1], total, *saturation[2:]) for total in sums]
        if form.clamps:
            for step in steps:
                a.op(*step)
            frame.load(a, "r1", "ceiling")
            frame.load(a, "r2", "offset")
            for total in sums:
                a.op("uqadd8", total, total, "r1", note="saturates at the upper limit")
            steps = [("uadd8", total, total, "r2") for total in sums]
        for step in steps[:-1]:
            a.op(*step)
        frame.load(a, self._output(block), "output")
        a.op(*steps[-1])

    def _output(self, block: Block) -> str:
        """The register of the place of a block's first output."""
        return "r1" if "r3" in self._form.sums(block.count) else "r3"

    def _store(self, block: Block, last: bool) -> None:
        """The bytes to the output, at immediate offsets where the number of channels is known."""
        a, frame, sums, output = self._a, self._frame, self._form.sums(block.count), self._output(block)
        if not self._form.compact:
            places = product(range(self._form.rows), range(block.first, block.first + block.count))
            for total, (row, x) in zip(sums, places, strict=True):
                at = row * self._form.next_row_bytes + x * self._form.step_bytes
                a.op("strb.w", total, f"[{output}, #{at}]")
            return
        frame.load(a, "r2", "pixel_bytes")
        other = sums[0]  # a second pointer, for odd outputs, so that no address is used right behind its making
        for i, total in enumerate(sums):
            a.op("strb", total, f"[{other if i % 2 else output}]")
            if i == 0 and len(sums) > 1:
                a.op("add", other, output, "r2")
            elif i % 2 and i + 2 < len(sums):
                a.op("add", other, other, "r2", "lsl #1")
            if i % 2 == 0 and (i + 2 < len(sums) or not last):
                a.op("add", output, output, "r2", *(("lsl #1",) if i + 1 < len(sums) else ()))
        if not last:
            frame.store(a, output, "output")

    def _join_rows(self) -> None:
        """The place of the next row's first output; compact forms are there already."""
        a, code, form = self._a, self._code, self._form
        if form.compact:
            return
        moved = form.rows * form.next_row_bytes - code.turns * code.looped_outputs * form.step_bytes
        output = self._output(code.rest[-1]) if code.rest else "r1"
        if moved and not code.rest:
            self._frame.load(a, output, "output")
        if moved:
            add_signed(a, output, output, moved, free="r2")
            self._frame.store(a, output, "output")

    def _next(self) -> None:
        """The next row of the channel, then the next channel."""
        a, frame, form, code = self._a, self._frame, self._form, self._code
        moved = code.turns * self._looped_bytes
        if form.joined:
            self._join_rows()
            next_bytes = form.rows * form.stride_height * form.row_bytes
            add_signed(a, "r0", "r0", next_bytes - moved, free="r1")
            frame.load(a, "r2", "rows_end")
            a.op("cmp", "r0", "r2")
        else:
            frame.load(a, "r3", "next_row")
            frame.load(a, "r2", "outputs_end")
            add_signed(a, "r0", "r0", form.stride_height * form.row_bytes - moved, free="r1")
            a.op("cmp", "r3", "r2")
        a.branch("bne", "row")
        frame.load(a, "r0", "x")
        frame.load(a, "r2", "channel")
        frame.load(a, "r1", "planes")
        a.op("adds", "r0", "#4")
        a.op("adds", "r2", "#1")
        a.op("adds", "r1", f"#{WORD_BYTES}")
        frame.store(a, "r0", "x")
        frame.store(a, "r2", "channel")
        if form.filled:
            self._next_filled()
        else:
            a.op("cmp", "r0", "r1")
            a.branch("bne", "channel")
            frame.load(a, "r3", "channels")
            a.op("cmp", "r2", "r3")
            a.branch("bne", "quad")
        a.op("add", "sp", "sp", f"#{frame.bytes}")
        a.op("pop", registers(["r4-r11", "pc"]))

    def _next_filled(self) -> None:
        """The next channel, r2, whose lane is r0, before the end of the planes, r1, or that of the next planes."""
        a, frame = self._a, self._frame
        frame.load(a, "r3", "channels")
        a.op("cmp", "r2", "r3")
        a.branch("beq", "end")
        a.op("cmp", "r0", "r1")
        a.branch("bne", "channel")
        frame.load(a, "r2", "quad_bytes")
        a.op("subs", "r1", f"#{WORD_BYTES}")
        a.op("add", "r1", "r1", "r2")
        frame.store(a, "r1", "planes")
        a.branch("b", "quad")
        a.label("end")
