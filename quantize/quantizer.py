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
from thimble.quantize.calibration import Calibration, observe
from thimble.quantize.channel_ranges import join_channel_ranges
from thimble.quantize.compare import correct_biases, round_weights
from thimble.quantize.convert import convert, float_only
from thimble.quantize.decide import Scheme, decide
from thimble.quantize.equalize import equalize
from thimble.quantize.learned import learn
from thimble.quantize.loss import Judge
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
    source = join_channel_ranges(source, rest)
    say(f"Choosing ranges on {len(rest)} calibration samples")
    candidates = _candidates(source, rest, chosen, best, symmetric, progress)
    winner = min(candidates, key=lambda candidate: candidate.loss * (1 + MARGIN * candidate.extras))
    steps = [] if len(samples) == len(calibration) else [f"{most} of {len(calibration)} samples used"]
    steps += [f"{winner.name}: loss {winner.loss:.3g} (the best of {len(candidates)} ways to choose ranges)"]
    say("Correcting biases")
    winner = _corrected(winner, rest, chosen, steps)
    if best:
        winner = _rounded(winner, rest, chosen, steps)
    if best and not symmetric:
        winner = _refined(winner, rest, chosen, steps, progress)
    if best:
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
    say("Learning roundings and ranges")
    source = winner.source
    try:
        lessons = learn(source, winner.parameters, samples, progress)
    except (ToolMissing, UnsupportedOp) as error:
        steps.append(f"learned rounding and ranges left out: {error}")
        say(steps[-1])
        return winner
    judge, best = Judge(source, chosen), winner
    for title, learned in (("learned ranges", lessons.ranges), ("learned rounding and ranges", lessons.all)):
        parameters = correct_biases(source, learned, samples.spread(CORRECTED_SAMPLES))
        loss = judge.loss(parameters)
        kept = loss < best.loss * (1 - MARGIN)
        steps.append(f"{title}: loss {loss:.3g}{'' if kept else ', not kept'}")
        if kept:
            best = replace(best, parameters=parameters, loss=loss)
    return best
