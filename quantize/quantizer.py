"""Float graph and calibration data to integer graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import product
from typing import Any

import numpy as np

from thimble.compiler.ir.errors import ToolMissing, UnsupportedOp
from thimble.compiler.ir.graph import Graph
from thimble.compiler.passes.remove_dead import remove_dead
from thimble.quantize.by_gradients import quantize_by_gradients
from thimble.quantize.calibration import Calibration, observe
from thimble.quantize.channel_ranges import join_channel_ranges
from thimble.quantize.compare import correct_biases, round_weights
from thimble.quantize.convert import convert, float_only
from thimble.quantize.decide import Scheme, decide
from thimble.quantize.equalize import equalize
from thimble.quantize.learned import learn
from thimble.quantize.loss import Judge, is_better
from thimble.quantize.normalize import normalize
from thimble.quantize.observers import Observer
from thimble.quantize.parameters import Parameters
from thimble.quantize.refine import refine_ranges
from thimble.quantize.samples import alive_bytes

MOST_SAMPLES = {"fast": 256, "best": 1024}
"""Calibration samples that are used; more change the ranges little and take their time."""

MOST_BYTES = 1 << 30
"""What the values of all samples may take that are alive at once in the float network; networks with large tensors
get fewer samples."""

HELD_BACK = 4
"""Every so-manieth calibration sample chooses among candidates, and none is made from it."""

MARGIN = 0.02
"""By what share a candidate must lower the loss for each thing more that it does: few samples judge it."""

FELT_MARGIN = 0.25
"""By what share other ways to choose ranges must lose less than that by gradients, which all samples have a say in."""

LEARNED_SAMPLES = 200
"""Samples from which on it is tried to learn: fewer are learned by heart (docs/quantization.md)."""

JUDGED_SAMPLES = 64
"""Samples on which candidates are compared."""

CORRECTED_SAMPLES = 64
"""Samples over which bias correction takes its means."""

_QUICK_OBSERVERS = (Observer.MIN_MAX, Observer.PERCENTILE, Observer.MSE)
"""Those that `fast` tries: entropy took part too, and never won on the models of docs/quantization.md."""

Say = Callable[[str], None]
Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]


class Method(Enum):
    """How much time quantization may take: seconds, or minutes."""

    FAST = "fast"
    BEST = "best"


@dataclass(frozen=True, slots=True)
class Quantized:
    """`source` is the normalized float graph that `parameters` speak of; `graph` is the integer graph.

    `steps` says what was done, in order; `loss` is Judge.loss on samples that nothing was made from.
    """

    graph: Graph
    source: Graph
    parameters: Parameters
    steps: tuple[str, ...]
    loss: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    """`extras` counts what was done beyond choosing ranges."""

    name: str
    source: Graph
    parameters: Parameters
    loss: float
    extras: int = 0


def quantize_graph(
    graph: Graph,
    calibration: Calibration,
    method: Method = Method.FAST,
    symmetric: bool = False,
    say: Say = lambda _: None,
    progress: Progress = lambda items, what, count: items,
) -> Quantized:
    """Quantize a float graph to int8 by calibration samples.

    `say` gets one line a step; `progress` wraps what is iterated over, to show how far it came. Raises UnsupportedOp
    where an operator has no integer form, UsageError where the samples make no sense.
    """
    float_only(graph)
    source = normalize(graph)
    most = min(MOST_SAMPLES[method.value], max(MOST_BYTES // alive_bytes(source), 1))
    samples = calibration.spread(most)
    chosen, rest = divide(samples)
    best = method is Method.BEST
    say(f"Choosing ranges on {len(rest)} calibration samples")
    steps = [] if len(samples) == len(calibration) else [f"{most} of {len(calibration)} samples used"]
    candidates = _candidates(join_channel_ranges(source, rest), rest, chosen, best, symmetric, progress)
    winner = min(candidates, key=lambda candidate: candidate.loss * (1 + MARGIN * candidate.extras))
    steps += [f"{winner.name}: loss {winner.loss:.3g} (the best of {len(candidates)} ways to choose ranges)"]
    say("Correcting biases")
    winner = _corrected(winner, rest, chosen, steps)
    if best:
        winner = _rounded(winner, rest, chosen, steps)
        felt = _by_gradients(source, rest, chosen, symmetric, steps)
        if felt is not None and felt.loss * (1 - FELT_MARGIN) < winner.loss:
            again = quantize_by_gradients(source, samples, symmetric)
            winner = replace(felt, source=again.graph, parameters=again.parameters)
            steps.append("the same from all samples, those that judged among them")
        elif not symmetric:
            winner = _refined(winner, rest, chosen, steps, progress)
        winner = _taught(winner, rest, chosen, steps, say, progress)
    return Quantized(
        remove_dead(convert(winner.source, winner.parameters).graph),
        winner.source,
        winner.parameters,
        tuple(steps),
        winner.loss,
    )


def divide(samples: Calibration) -> tuple[Calibration, Calibration]:
    """Samples held back to choose by, and the others; few samples serve for both."""
    count = len(samples)
    if count < 2 * HELD_BACK:
        return samples, samples
    held = np.arange(count) % HELD_BACK == 0
    return samples.part(np.flatnonzero(held)).spread(JUDGED_SAMPLES), samples.part(np.flatnonzero(~held))


def _candidates(
    source: Graph, samples: Calibration, chosen: Calibration, best: bool, symmetric: bool, progress: Progress
) -> list[_Candidate]:
    """The ways to choose ranges: each observer; for `best` also clipped weights, and equalized layers."""
    sources = {"": source}
    if best:
        equalized = equalize(source)
        sources |= {"equalized layers, ": equalized} if equalized is not source else {}
    histograms = {name: observe(graph, samples) for name, graph in sources.items()}
    judges = {name: Judge(graph, chosen) for name, graph in sources.items()}
    observers = tuple(Observer) if best else _QUICK_OBSERVERS
    whole = {name: judge.whole_ranges(histograms[name]) for name, judge in judges.items()}
    ways = list(product(sources, observers, (False, True) if best else (False,)))
    found = []
    for name, observer, clip in progress(ways, "ways to choose ranges", len(ways)):
        parameters = decide(sources[name], histograms[name], Scheme(observer, clip, symmetric), whole[name])
        title = f"{name}{observer.value} ranges{', clipped weights' if clip else ''}"
        loss, extras = judges[name].loss(parameters), int(clip) + int(bool(name))
        found.append(_Candidate(title, sources[name], parameters, loss, extras))
    return found


def _by_gradients(
    source: Graph, samples: Calibration, chosen: Calibration, symmetric: bool, steps: list[str]
) -> _Candidate | None:
    """Ranges at which the outputs lose least, as gradients tell; None, and a line in `steps`, where there are none."""
    try:
        found = quantize_by_gradients(source, samples, symmetric)
    except (ToolMissing, UnsupportedOp) as error:
        steps.append(f"ranges by gradients left out: {error}")
        return None
    name, loss = "ranges by gradients, biases and roundings for them", Judge(found.graph, chosen).loss(found.parameters)
    steps.append(f"{name}: loss {loss:.3g}")
    return _Candidate(name, found.graph, found.parameters, loss)


def _corrected(winner: _Candidate, samples: Calibration, chosen: Calibration, steps: list[str]) -> _Candidate:
    """The candidate with corrected biases, where they bring the loss down."""
    parameters = correct_biases(winner.source, winner.parameters, samples.spread(CORRECTED_SAMPLES))
    loss = Judge(winner.source, chosen).loss(parameters)
    kept = loss < winner.loss
    steps.append(f"bias correction: loss {loss:.3g}{'' if kept else ', not kept'}")
    return replace(winner, parameters=parameters, loss=loss) if kept else winner


def _rounded(winner: _Candidate, samples: Calibration, chosen: Calibration, steps: list[str]) -> _Candidate:
    """The candidate with weights rounded so that errors make up for one another, where that lowers the loss."""
    parameters = round_weights(winner.source, winner.parameters, samples.spread(CORRECTED_SAMPLES))
    loss = Judge(winner.source, chosen).loss(parameters)
    kept = loss < winner.loss * (1 - MARGIN)
    steps.append(f"rounding errors passed on: loss {loss:.3g}{'' if kept else ', not kept'}")
    return replace(winner, parameters=parameters, loss=loss) if kept else winner


def _refined(
    winner: _Candidate, samples: Calibration, chosen: Calibration, steps: list[str], progress: Progress
) -> _Candidate:
    """The candidate with ranges chosen layer by layer and biases corrected for them, where that lowers the loss."""
    parameters = refine_ranges(winner.source, winner.parameters, samples, progress)
    parameters = correct_biases(winner.source, parameters, samples.spread(CORRECTED_SAMPLES))
    loss = Judge(winner.source, chosen).loss(parameters)
    kept = loss < winner.loss
    steps.append(f"ranges layer by layer: loss {loss:.3g}{'' if kept else ', not kept'}")
    return replace(winner, parameters=parameters, loss=loss) if kept else winner


def _taught(
    winner: _Candidate, samples: Calibration, chosen: Calibration, steps: list[str], say: Say, progress: Progress
) -> _Candidate:
    """The candidate with learned rounding and ranges, where they bring the loss down and can be learned at all.

    Ranges are tried without the roundings too. Biases are corrected again: those that were learned belong to weights
    between two integers, which rounding for good moves.
    """
    if len(samples) < LEARNED_SAMPLES:
        steps.append(f"learned rounding and ranges left out: {len(samples)} samples are fewer than {LEARNED_SAMPLES}")
        return winner
    say("Learning roundings and ranges")
    source = winner.source
    try:
        lessons = learn(source, winner.parameters, samples, progress)
    except (ToolMissing, UnsupportedOp) as error:
        steps.append(f"learned rounding and ranges left out: {error}")
        say(steps[-1])
        return winner
    judge, best = Judge(source, chosen), winner
    before = judge.losses(winner.parameters)
    lowest = float(before.mean())
    for title, learned in (("learned ranges", lessons.ranges), ("learned rounding and ranges", lessons.all)):
        parameters = correct_biases(source, learned, samples.spread(CORRECTED_SAMPLES))
        losses = judge.losses(parameters)
        kept = is_better(losses, before) and losses.mean() < lowest * (1 - MARGIN)
        steps.append(f"{title}: loss {losses.mean():.3g}{'' if kept else f', not kept over {lowest:.3g}'}")
        if kept:
            lowest = float(losses.mean())
            best = replace(best, parameters=parameters, loss=lowest)
    return best
