"""`python -m tests.bench.quantization_splits [--method best] [--splits N] [--first SEED]`: vww on several draws.

Each split draws 100 images of vww01 to calibrate on and scores the others, so that no single draw, and no rule that
was chosen on one, decides the figure.
"""

from __future__ import annotations

import argparse

import numpy as np

from tests.bench.quantization import figures
from tests.bench.quantization_data import CALIBRATION_SAMPLES, Evaluation, Task, load_task, top1, vww_images
from thimble.quantize.quantizer import Method

FIRST_SEED = 100
"""The seed of the first split where none is given; the next ones follow."""


def split_task(seed: int) -> Task:
    """vww calibrated on one draw and scored on all other images."""
    inputs, labels = vww_images()
    order = np.random.default_rng(seed).permutation(len(inputs))
    given, scored = np.sort(order[:CALIBRATION_SAMPLES]), np.sort(order[CALIBRATION_SAMPLES:])
    evaluation = Evaluation(f"vww01, split {seed}", inputs[scored], top1(labels[scored]), labels[scored])
    return Task("vww", load_task("vww").model, inputs[given], (evaluation,))


def main() -> None:
    """Quantize and score each split, then print the mean and the worst."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", choices=[method.value for method in Method], default=Method.BEST.value)
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first split")
    arguments = parser.parse_args()
    lost = []
    for seed in range(arguments.first, arguments.first + arguments.splits):
        rows, steps, seconds = figures(split_task(seed), Method(arguments.method))
        print("; ".join(steps), flush=True)
        for name, before, after in rows:
            lost.append(before - after)
            print(
                f"{name}: float {before:.2f}, integers {after:.2f}, lost {lost[-1]:+.2f}, {seconds:.0f} CPU s",
                flush=True,
            )
    print(f"mean {np.mean(lost):+.2f}, deviation {np.std(lost):.2f}, most {max(lost):+.2f}")


if __name__ == "__main__":
    main()
