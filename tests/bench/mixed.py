"""`python -m tests.bench.mixed [vww ic] [--reduce F] [--weights int8] [--learned --jpegs N] [--vdqs [--dynamic]]`
measures models in fewer bits.

vww: four calibration sets of 250 images of vww01, which have none in common; each is scored on the other 750. ic: 1,000
CIFAR training JPEGs, or as many as `--jpegs` says, scored on ic01 and on 1,000 CIFAR test JPEGs drawn once, beside what
the int8 model has there.
Everything runs in the integer reference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.bench.quantization_data import SEED, arrays_of, decode, model_path
from thimble.compiler.driver.build_folder import import_model, read_file
from thimble.compiler.driver.quantize_search import LOW_WIDTHS
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.quantize.calibration import Calibration
from thimble.quantize.choices import Bits
from thimble.quantize.loss import run_values
from thimble.quantize.mixed import Limits, Search, reduced
from thimble.quantize.parameters import store
from thimble.quantize.patch_precision import narrow_patches
from thimble.quantize.prices import activation_bytes, bit_operations, weight_bytes
from thimble.quantize.sensitivity import Widths
from thimble.quantize.vdqs import LAMBDA, PHI

SPLITS = 4
JPEGS = 1000
MODELS = {"vww": "vww_96_int8.tflite", "ic": "ic_resnet8_int8.tflite"}


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Real calibration samples (N, 1, ...), and named evaluations: real inputs and labels."""

    name: str
    calibration: Array
    evaluations: tuple[tuple[str, Array, Array], ...]


def splits_of(task: str, jpegs: int = JPEGS) -> Iterator[Split]:
    """The splits of a task, for ic with so many calibration images; needs the data folder."""
    if task == "vww":
        data = arrays_of("eval/vww01_int8")
        inputs = ((data["x"].astype(np.float32) + 128) * np.float32(1 / 255))[:, None]
        order = np.random.default_rng(SEED).permutation(len(inputs))
        for part in np.array_split(order, SPLITS):
            scored = np.setdiff1d(order, part)
            name = f"vww01, {len(scored)} images"
            yield Split(f"vww {part[0]}", inputs[np.sort(part)], ((name, inputs[scored], data["y"][scored]),))
        return
    train, test, clean = (arrays_of(n) for n in ("train/cifar10_jpg_train", "train/cifar10_jpg_test", "eval/ic01_int8"))
    given = np.random.default_rng(SEED).permutation(len(train["y"]))[:jpegs]
    scored = np.random.default_rng(SEED).permutation(len(test["y"]))[:JPEGS]
    yield Split(
        "ic",
        decode(train, given)[:, None],
        (
            ("ic01, 200 images", (clean["x"].astype(np.float32) + 128)[:, None], clean["y"]),
            ("CIFAR test, 1,000 JPEGs", decode(test, scored)[:, None], test["y"][scored]),
        ),
    )


def answers(graph: Graph, inputs: Array) -> Array:
    """The index of the largest output for each sample."""
    given = graph.values[graph.inputs[0]]
    stored = store(inputs, given.quant, given.type.dtype)
    return run_values(graph, [stored], graph.outputs)[0].reshape(len(inputs), -1).argmax(axis=1)


def search(graph: Graph, split: Split, arguments: argparse.Namespace) -> tuple[Graph, str]:
    """The graph of fewer bits, and its price in words."""
    before = bit_operations(graph)(Bits())
    calibration = Calibration((split.calibration,))
    if arguments.vdqs:
        asked = {"weight": arguments.entropy_weight, "phi": arguments.phi, "by_data": arguments.dynamic}
        found = narrow_patches(graph, calibration, (4, 2), **asked)
        choice = found.choice
        text = f"{before / choice.chosen:.2f} x layers, {choice.by_patches / choice.chosen:.2f} x patches"
        text += f" (at worst {before / choice.worst:.2f}, {choice.by_patches / choice.worst:.2f})"
        return found.graph, f"{text}, {sum(choice.outliers)} of {len(choice.outliers)} patches with outliers"
    low = LOW_WIDTHS[arguments.fewest_bits]
    widths = Widths(low, () if arguments.weights == "int8" else low)
    limits = Limits(factor=arguments.reduce)
    made = Search(graph, calibration, limits, bit_operations(graph), widths, arguments.learned).run()
    constants, live = weight_bytes(graph), activation_bytes(graph)
    text = f"{before / bit_operations(graph)(made.bits):.2f} x, error {made.error:.3f}"
    bytes_text = f"constants {constants(Bits()):.0f} -> {constants(made.bits):.0f}"
    return made.graph, f"{text}, {bytes_text}, live {live(Bits()).max()} -> {live(made.bits).max()} bytes"


def main() -> None:
    """Search, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="|".join(MODELS))
    parser.add_argument("--reduce", type=float, default=None)
    parser.add_argument("--weights", choices=["int8", "mixed"], default="mixed")
    parser.add_argument("--fewest-bits", type=int, choices=list(LOW_WIDTHS), default=4)
    parser.add_argument("--learned", action="store_true")
    parser.add_argument("--jpegs", type=int, default=JPEGS, help="calibration images of ic, at most 20,000")
    parser.add_argument("--vdqs", action="store_true")
    parser.add_argument("--dynamic", action="store_true", help="patches classed by their values")
    parser.add_argument("--phi", type=float, default=PHI)
    parser.add_argument("--entropy-weight", type=float, default=LAMBDA)
    arguments = parser.parse_args()
    for task in arguments.tasks or MODELS:
        path = model_path(MODELS[task])
        given = import_model(read_file(path), path)
        graph = reduced(given)
        factor = bit_operations(given)(Bits()) / bit_operations(graph)(Bits())
        print(f"{task}: constant channels removed, {factor:.2f} x fewer bit operations in 8 bits")
        for split in splits_of(task, arguments.jpegs):
            start = time.process_time()
            made, text = search(graph, split, arguments)
            print(f"{split.name}: {text}, {time.process_time() - start:.0f} CPU s", flush=True)
            for name, inputs, labels in split.evaluations:
                before, after = ((answers(g, inputs) == labels).mean() * 100 for g in (graph, made))
                print(f"    {name}: int8 {before:.2f}, mixed {after:.2f}, lost {before - after:+.2f}", flush=True)


if __name__ == "__main__":
    main()
