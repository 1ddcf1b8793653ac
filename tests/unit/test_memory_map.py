"""The geometry of the report: the map says nothing that the plan does not, and labels stay inside their rectangles."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graphs import read_graph
from thimble.compiler.driver import demo
from thimble.compiler.driver.charts import FULL, Part, capacity_bar, percent, rank, stack
from thimble.compiler.driver.memory_map import (
    CHARACTER_WIDTH,
    HEADING_CHARACTER_WIDTH,
    LINE_HEIGHT,
    MapBuffer,
    MemoryMap,
    Rect,
    draw_memory_map,
    fit_label,
    hatch,
    live_bytes,
    round_unit,
    step_names,
)
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.layout import Request, arena_bytes, lower_bound, place

WIDTH = 1000.0
TOLERANCE = 1e-6


def overlap(a: Rect, b: Rect) -> bool:
    return (
        min(a.x + a.width, b.x + b.width) - max(a.x, b.x) > TOLERANCE
        and min(a.y + a.height, b.y + b.height) - max(a.y, b.y) > TOLERANCE
    )


def share_memory(a: MapBuffer, b: MapBuffer) -> bool:
    return max(a.offset, b.offset) < min(a.end, b.end) and max(a.first_step, b.first_step) <= min(
        a.last_step, b.last_step
    )


def draw(buffers: list[MapBuffer], steps: int, width: float = WIDTH) -> MemoryMap:
    top = max(b.end for b in buffers)
    peak = max(range(steps), key=lambda step: live_bytes(buffers, step))
    return draw_memory_map(buffers, [f"{i} op" for i in range(steps)], top, live_bytes(buffers, peak), peak, width)


any_buffer = st.builds(
    lambda first, length, offset, size: MapBuffer("b", "activation", offset, size, first, min(11, first + length)),
    st.integers(0, 11),
    st.integers(0, 11),
    st.integers(0, 50_000),
    st.integers(1, 50_000),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(any_buffer, min_size=1, max_size=12))
def test_rectangles_overlap_exactly_where_buffers_do(buffers: list[MapBuffer]) -> None:
    drawing = draw(buffers, 12)
    for a, b in combinations(drawing.boxes, 2):
        assert overlap(a.rect, b.rect) == share_memory(a.buffer, b.buffer)
    assert len(drawing.shared) == sum(overlap(a.rect, b.rect) for a, b in combinations(drawing.boxes, 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(any_buffer, min_size=1, max_size=12))
def test_sizes_are_proportional_and_inside_the_plot(buffers: list[MapBuffer]) -> None:
    drawing = draw(buffers, 12)
    plot, top = drawing.plot, max(b.end for b in buffers)
    for box in drawing.boxes:
        b, rect = box.buffer, box.rect
        assert rect.height == pytest.approx(plot.height * b.bytes / top)
        columns = b.last_step - b.first_step + 1
        assert rect.width == pytest.approx(plot.width * columns / 12)
        assert plot.y - TOLERANCE <= rect.y <= rect.y + rect.height <= plot.y + plot.height + TOLERANCE
        assert plot.x - TOLERANCE <= rect.x <= rect.x + rect.width <= plot.x + plot.width + TOLERANCE
        assert box.at_peak == overlap(rect, drawing.peak_band)


def test_in_the_plan_of_the_shipped_model_only_dying_inputs_are_shared() -> None:
    graph = read_graph(demo.model_path())
    plan = plan_layers(graph)
    buffers = [MapBuffer(b.name, b.kind.value, b.offset, b.bytes, b.first_step, b.last_step) for b in plan.buffers]
    steps = [str(i) for i in range(len(plan.steps))]
    drawing = draw_memory_map(buffers, steps, plan.arena_bytes, plan.bound_bytes, plan.peak_step, WIDTH)
    assert len(drawing.boxes) == len(plan.buffers)
    pairs = [(a.buffer, b.buffer) for a, b in combinations(drawing.boxes, 2) if overlap(a.rect, b.rect)]
    assert len(drawing.shared) == len(pairs) > 0
    for a, b in pairs:
        assert a.last_step == b.first_step or b.last_step == a.first_step
    tallest = max(drawing.strip, key=lambda column: column.rect.height)
    assert tallest.rect.height == max(c.rect.height for c in drawing.strip if c.at_peak)


def test_an_output_over_its_operand_is_hatched_where_they_share_bytes() -> None:
    drawing = draw([MapBuffer("in", "input", 0, 100, 0, 1), MapBuffer("out", "output", 20, 100, 1, 2)], 3)
    (shared,) = drawing.shared
    column, plot = drawing.plot.width / 3, drawing.plot
    assert (shared.rect.x, shared.rect.width) == pytest.approx((plot.x + column, column))
    assert (shared.rect.y, shared.rect.height) == pytest.approx((plot.y + plot.height / 6, plot.height * 80 / 120))
    assert shared.tooltip == "80 bytes of in\ntaken over by out\nin step 1 op"
    assert live_bytes([box.buffer for box in drawing.boxes], 1) == 120
    left, right = (box.label for box in drawing.boxes)
    assert left is not None
    assert right is not None
    assert (left.x, right.x) == pytest.approx((plot.x + 0.5 * column, plot.x + 2.5 * column))


@given(st.floats(0.5, 400), st.floats(0.5, 400))
def test_hatching_stays_in_its_rectangle_at_45_degrees(width: float, height: float) -> None:
    strokes = hatch(Rect(10, 20, width, height))
    assert len(strokes) == pytest.approx((width + height) / 8, abs=1)
    for x1, y1, x2, y2 in strokes:
        assert 10 - TOLERANCE <= x1 <= x2 <= 10 + width + TOLERANCE
        assert 20 - TOLERANCE <= y2 <= y1 <= 20 + height + TOLERANCE
        assert x2 - x1 == pytest.approx(y1 - y2)


def test_offset_zero_lies_at_the_bottom() -> None:
    low, high = draw([MapBuffer("a", "input", 0, 10, 0, 0), MapBuffer("b", "output", 10, 30, 0, 0)], 1).boxes
    assert low.rect.y > high.rect.y
    assert low.rect.y + low.rect.height == pytest.approx(426)


@pytest.mark.parametrize("peak", range(6))
@pytest.mark.parametrize("width", [340.0, WIDTH])
def test_the_peak_is_marked_and_named_inside_the_drawing(peak: int, width: float) -> None:
    buffers = [MapBuffer(f"b{i}", "activation", 0, 900 if i == peak else 100, i, i) for i in range(6)]
    drawing = draw(buffers, 6, width)
    column = drawing.plot.width / 6
    assert drawing.peak_band.x == pytest.approx(drawing.plot.x + peak * column)
    assert drawing.peak_band.width == pytest.approx(column)
    assert [c.at_peak for c in drawing.strip].index(True) == peak
    (text,) = drawing.peak_label.lines
    assert text == f"peak: step {peak} op, 900 B live"
    half = len(text) * HEADING_CHARACTER_WIDTH / 2
    assert half - TOLERANCE <= drawing.peak_label.x <= drawing.width - half + TOLERANCE


def test_the_bound_is_drawn_only_below_the_top() -> None:
    apart = [MapBuffer("a", "activation", 0, 10, 0, 0), MapBuffer("b", "activation", 30, 10, 1, 1)]
    drawing = draw(apart, 2)
    assert drawing.bound_y == pytest.approx(drawing.plot.y + drawing.plot.height * 0.75)
    assert draw([MapBuffer("a", "activation", 0, 10, 0, 0)], 1).bound_y is None


@pytest.mark.parametrize("top", [1, 9, 32, 7_568, 15_680, 100_000, 161_472, 2_000_001])
def test_offset_marks_are_round_apart_and_end_at_the_top(top: int) -> None:
    ticks = draw([MapBuffer("a", "activation", 0, top, 0, 0)], 1).y_ticks
    places = [tick.at for tick in ticks]
    assert ticks[0].text == "0"
    assert ticks[-1].text == f"{top:,}"
    assert places == sorted(places, reverse=True)
    assert all(a - b >= 15 for a, b in pairwise(places))
    assert 2 <= len(ticks) <= 8


@pytest.mark.parametrize(("top", "unit"), [(0, 1), (5, 1), (7, 2), (60, 10), (61, 20), (15_680, 5_000)])
def test_round_unit(top: int, unit: int) -> None:
    assert round_unit(top, 6) == unit


def test_hundreds_of_steps_stay_apart_and_their_names_do_not_collide() -> None:
    drawing = draw([MapBuffer("b", "activation", 0, 8, i, i) for i in range(400)], 400)
    assert drawing.width > WIDTH
    assert all(box.rect.width >= 7 for box in drawing.boxes)
    marks = [tick.at for tick in drawing.x_ticks]
    assert all(b - a >= 11 for a, b in pairwise(marks))
    assert drawing.x_labels_vertical


def test_few_steps_have_their_names_written_upright() -> None:
    drawing = draw([MapBuffer("b", "activation", 0, 8, 0, 2)], 3)
    assert not drawing.x_labels_vertical
    assert [tick.text for tick in drawing.x_ticks] == ["0 op", "1 op", "2 op"]


@given(st.floats(1, 400), st.floats(1, 400), st.text("abc ", min_size=1, max_size=40))
def test_labels_stay_inside_their_rectangles(width: float, height: float, name: str) -> None:
    label = fit_label(Rect(10, 20, width, height), (name, "3"), "12,544 B")
    if label is None:
        assert width < 8 * CHARACTER_WIDTH + 6 or height < LINE_HEIGHT - 1
        return
    long, high = max(map(len, label.lines)) * CHARACTER_WIDTH, len(label.lines) * LINE_HEIGHT - 1
    assert (long, high) <= ((height, width) if label.vertical else (width, height))
    assert (high, long) <= ((width, height) if label.vertical else (height, width))
    assert (label.x, label.y) == (10 + width / 2, 20 + height / 2)


@pytest.mark.parametrize(
    ("width", "height", "lines", "vertical"),
    [
        (200, 40, ("0 stem", "784 B"), False),
        (200, 16, ("0 stem: 784 B",), False),
        (20, 200, ("0 stem: 784 B",), True),
        (60, 16, ("0: 784 B",), False),
        (40, 16, ("784 B",), False),
    ],
)
def test_labels_say_as_much_as_fits(width: float, height: float, lines: tuple[str, ...], vertical: bool) -> None:
    label = fit_label(Rect(0, 0, width, height), ("0 stem", "0"), "784 B")
    assert label is not None
    assert (label.lines, label.vertical) == (lines, vertical)


def test_no_label_where_there_is_no_room() -> None:
    assert fit_label(Rect(0, 0, 30, 10), ("0 stem", "0"), "784 B") is None


def test_steps_go_by_layer_names_unless_one_is_long_or_missing() -> None:
    assert step_names(["stem", "pool"], ["conv_2d", "mean"]) == ("0 stem", "1 pool")
    assert step_names(["stem", "m/act/Relu;m/bn/FusedBatchNormV3"], ["conv_2d", "add"]) == ("0 conv_2d", "1 add")
    assert step_names(["stem", ""], ["conv_2d", "add"]) == ("0 conv_2d", "1 add")


@pytest.mark.parametrize(
    ("buffer", "steps", "peak"),
    [
        (MapBuffer("late", "activation", 0, 4, 0, 2), 2, 0),
        (MapBuffer("high", "activation", 99, 4, 0, 0), 2, 0),
        (MapBuffer("early", "activation", 0, 4, -1, 0), 2, 0),
        (MapBuffer("b", "activation", 0, 4, 0, 0), 2, 2),
        (MapBuffer("b", "activation", 0, 4, 0, 0), 0, 0),
    ],
)
def test_what_lies_outside_the_plan_is_refused(buffer: MapBuffer, steps: int, peak: int) -> None:
    with pytest.raises(ValueError, match=r"step|outside"):
        draw_memory_map([buffer], [str(i) for i in range(steps)], 100, 4, peak, WIDTH)


def test_live_bytes_agree_with_the_planner() -> None:
    requests = [Request.block(i, min(9, i + i % 4), 40 + 8 * i) for i in range(10)]
    offsets = place(requests)
    buffers = [
        MapBuffer(str(i), "activation", offset, r.bytes, r.first, r.last)
        for i, (r, offset) in enumerate(zip(requests, offsets, strict=True))
    ]
    assert max(live_bytes(buffers, step) for step in range(10)) == lower_bound(requests)
    assert max(b.end for b in buffers) == arena_bytes(requests, offsets)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=20))
def test_stacked_parts_are_contiguous_and_proportional(amounts: list[int]) -> None:
    segments = stack([Part(str(i), n, "code") for i, n in enumerate(amounts)])
    assert [s.part.amount for s in segments] == [n for n in amounts if n]
    at = 0.0
    for segment in segments:
        assert segment.x == pytest.approx(at)
        assert segment.width == pytest.approx(FULL * segment.part.amount / sum(amounts))
        at += segment.width
    assert at == pytest.approx(FULL if segments else 0)
    assert sum(s.share for s in segments) == pytest.approx(100 if segments else 0)


def test_a_capacity_bar_is_as_full_as_the_memory() -> None:
    bar = capacity_bar("SRAM", [Part("arena", 300, "arena"), Part("stack", 100, "stack")], 1600)
    assert (bar.used, bar.used_width, bar.percent) == (400, 250.0, 25.0)
    assert [s.width for s in bar.segments] == [750.0, 250.0]


def test_ranked_bars_are_the_largest_and_the_rest_is_summed() -> None:
    parts = [Part("c", 10, "code"), Part("a", 40, "code"), Part("d", 30, "code"), Part("b", 40, "code")]
    bars, left, left_bytes = rank(parts, 2)
    assert [(b.part.label, b.width, b.share) for b in bars] == [("a", 100.0, percent(40, 120)), ("b", 100.0, 100 / 3)]
    assert (left, left_bytes) == (2, 40)
    assert rank([], 5) == ((), 0, 0)
