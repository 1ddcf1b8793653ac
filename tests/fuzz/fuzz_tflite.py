"""Fuzzes everything of `thimble compile` before the C compiler, repeatably: python -m tests.fuzz.fuzz_tflite --help."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.attempt import ACCEPTED, Verdict, judge, make_mutant
from tests.fuzz.firmware import Unsafe, check_firmware
from tests.fuzz.pool import judge_all

CRASHERS = Path(__file__).parent.parent.parent / "out" / "fuzz"


@dataclass(slots=True)
class Summary:
    """What a run of the fuzzer found."""

    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[Verdict] = field(default_factory=list)
    slowest: Verdict | None = None
    hungriest: Verdict | None = None
    firmware: int = 0
    unsafe: list[Unsafe] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count one mutant."""
        self.outcomes[verdict.outcome if not verdict.failed else f"FAILED: {verdict.outcome}"] += 1
        if verdict.failed:
            self.failures.append(verdict)
        if self.slowest is None or verdict.seconds > self.slowest.seconds:
            self.slowest = verdict
        if self.hungriest is None or verdict.peak_bytes > self.hungriest.peak_bytes:
            self.hungriest = verdict

    def text(self) -> str:
        """The figures, and every failure with how to repeat it."""
        lines = [f"{sum(self.outcomes.values())} mutants of seed {self.seed}"]
        lines += [f"  {count:6d} {outcome}" for outcome, count in self.outcomes.most_common()]
        if self.slowest is not None and self.hungriest is not None:
            slow, hungry = self.slowest, self.hungriest
            lines.append(f"slowest: {slow.seconds:.2f} s of CPU (mutant {slow.index}, {slow.origin})")
            peak = hungry.peak_bytes / (1 << 20)
            lines.append(f"peak memory: {peak:.0f} MiB resident (mutant {hungry.index}, {hungry.origin})")
        lines.append(f"firmware of {self.firmware} accepted mutants run under sanitizers: {len(self.unsafe)} unsafe")
        for verdict in self.failures:
            lines.append(f"\nmutant {verdict.index} ({make_mutant(self.seed, verdict.index)[0]}): {verdict.outcome}")
            lines.append(verdict.detail)
        for unsafe in self.unsafe:
            lines.append(f"\nmutant {unsafe.index} ({make_mutant(self.seed, unsafe.index)[0]}): unsafe firmware")
            lines.append(unsafe.detail)
        return "\n".join(lines)


def fuzz(seed: int, indices: Sequence[int], jobs: int, firmware: int) -> Summary:
    """Judge mutants `indices` of sequence `seed`, and run the firmware of up to `firmware` of those that compile."""
    summary = Summary(seed)
    accepted = []
    for verdict in judge_all(seed, indices, jobs):
        summary.add(verdict)
        if verdict.outcome == ACCEPTED:
            accepted.append(verdict.index)
    accepted.sort()
    step = max(len(accepted) // firmware, 1) if firmware else 1
    chosen = accepted[::step][:firmware]
    summary.firmware, summary.unsafe = check_firmware([(i, make_mutant(seed, i)[1]) for i in chosen])
    return summary


def save_crashers(summary: Summary, folder: Path = CRASHERS) -> None:
    """Write every failing mutant as a model file beside what went wrong with it."""
    for failure in (*summary.failures, *summary.unsafe):
        folder.mkdir(parents=True, exist_ok=True)
        how, data = make_mutant(summary.seed, failure.index)
        stem = folder / f"seed{summary.seed}-{failure.index}"
        stem.with_suffix(".tflite").write_bytes(data)
        stem.with_suffix(".txt").write_text(f"{how}\n{failure.detail}\n")


def main() -> int:
    """Command line; exit code 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="mutants to make (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--seed", type=int, default=1, help="which sequence of mutants (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--firmware", type=int, default=200, help="accepted mutants to run as C (default: %(default)s)")
    parser.add_argument("--replay", type=Path, help="judge this one model file and print the verdict")
    options = parser.parse_args()
    if options.replay:
        verdict = judge(options.replay.read_bytes())
        print(verdict.outcome, verdict.detail)
        return int(verdict.failed)
    indices = range(options.first, options.first + options.count)
    summary = fuzz(options.seed, indices, options.jobs, options.firmware)
    save_crashers(summary)
    print(summary.text())
    return int(bool(summary.failures or summary.unsafe))


if __name__ == "__main__":
    sys.exit(main())
