"""Mutation testing: change one line in a copy of the product, and check whether a test fails.

`make mutation`, or `python -m tests.mutation --help`. Not a part of `make test`: surviving mutants have to be read.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.mutation.checkouts import HERE, Checkout, MutationError, PytestRun, copy_checkout, end_all, list_paths
from tests.mutation.coverage_data import LineCoverage, is_test, measure_coverage
from tests.mutation.mutants import Mutant, sample_mutants

CACHE: Final = ".mutation_cache"
_EXCLUDED_FOLDERS: Final = frozenset({"tests", "benchmarks", "migrations", "docs"})
_START_SECONDS: Final = 60.0
"""The time limit for starting the servers of a run."""
_TIMEOUT_FACTOR: Final = 4
"""The timeout of a mutant, as a multiple of the measured duration of its tests."""
_DETECTED: Final = frozenset({"killed", "timeout"})


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a mutant: `killed`, `timeout`, `survived`, or `untested` if no test executes its line."""

    mutant: Mutant
    outcome: str
    detail: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Test a sample of mutants and print the results; the exit code is 1 if too few were detected, else 0."""
    options = _options(arguments)
    root: Path = options.root.resolve()
    sources = {path: (root / path).read_bytes() for path in _modules(root, options.paths, options.base)}
    mutants = sample_mutants(sources, options.count, options.seed)
    print(f"{len(mutants)} mutants of {len(sources)} modules, SEED={options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        checkouts = [copy_checkout(root, Path(folder, f"copy{number}")) for number in range(options.workers)]
        print("measuring the line coverage of each test that is not cached", flush=True)
        coverage = measure_coverage(
            checkouts[0], root / CACHE, options.tests, ["-m", "not slow", *_parallel_options(options.workers)]
        )
        if coverage.failed:
            names = ", ".join(coverage.failed[:5])
            print(f"{len(coverage.failed)} tests fail without a mutant and are skipped: {names}")
        results = []
        for result in _test_all(checkouts, coverage, mutants, sources, options.seconds):
            results.append(result)
            print(f"{result.outcome:9} {result.mutant.path}:{result.mutant.line}  {result.detail}")
            print(
                *(f"          {line}" for line in result.mutant.diff(sources[result.mutant.path])),
                sep="\n",
                flush=True,
            )
    return _summary(results, options.fail_under)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "paths", nargs="*", type=Path, help="modules or folders (default: those that differ from `base`)"
    )
    parser.add_argument("--root", type=Path, default=HERE, help="the folder of the checkout")
    parser.add_argument(
        "--base", default="main", help="the branch to compare the checkout with, from their merge base"
    )
    parser.add_argument(
        "--tests", nargs="+", default=[], type=Path, help="files or folders (default: all of `make test`)"
    )
    parser.add_argument("--count", type=int, default=20, help="number of mutants")
    parser.add_argument(
        "--seed",
        type=int,
        default=random.randrange(10_000),  # noqa: S311
        help="seed of the sample: the same seed gives the same mutants",
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="seconds of tests to run for each mutant")
    parser.add_argument(
        "--workers", type=int, default=min(4, os.cpu_count() or 1), help="number of mutants tested concurrently"
    )
    parser.add_argument("--fail-under", type=float, default=0.0, help="exit with 1 if a lower percentage is detected")
    return parser.parse_args(arguments)


def _parallel_options(workers: int) -> list[str]:
    return ["-n", str(workers), "--dist", "worksteal"] if workers > 1 else []


def _modules(root: Path, paths: Sequence[Path], base: str) -> list[Path]:
    """The product's modules under the paths; without paths, those changed since the merge base, or else all."""
    product = [
        path
        for name in list_paths(root, "ls-files", "--cached", "--others", "--exclude-standard", "*.py")
        if (path := Path(name)).parts[0] not in _EXCLUDED_FOLDERS and not is_test(name)
    ]
    if paths:
        modules = [path for path in product if any(path.is_relative_to(each) for each in paths)]
    else:
        changed_paths = set(map(Path, list_paths(root, "diff", "--name-only", "--merge-base", base)))
        modules = [path for path in product if path in changed_paths] or product
    if not modules:
        raise MutationError(f"no module of the product is in {', '.join(map(str, paths))}")
    return modules


def _test_all(
    checkouts: list[Checkout],
    coverage: LineCoverage,
    mutants: list[Mutant],
    sources: dict[Path, bytes],
    seconds: float,
) -> Iterator[Result]:
    free: SimpleQueue[Checkout] = SimpleQueue()
    for checkout in checkouts:
        free.put(checkout)

    def test(mutant: Mutant) -> Result:
        tests = coverage.tests_of(mutant)
        selected = coverage.select_tests(tests, seconds)
        if not selected:
            return Result(mutant, "untested", "no test executes this line")
        checkout, source = free.get(), sources[mutant.path]
        try:
            checkout.mutate(mutant.path, mutant.applied_to(source))
            limit = _START_SECONDS + _TIMEOUT_FACTOR * sum(coverage.seconds[test] for test in selected)
            run = checkout.run(
                "-x", *sorted({test.partition("::")[0] for test in selected}), selected=selected, limit_seconds=limit
            )
        finally:
            checkout.mutate(mutant.path, source)
            free.put(checkout)
        return _result(mutant, run, f"{len(selected)} of the {len(tests)} tests")

    with ThreadPoolExecutor(len(checkouts)) as threads:
        try:
            yield from threads.map(test, mutants)
        except BaseException:  # an interrupt does not wait for running tests
            threads.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise


def _result(mutant: Mutant, run: PytestRun, tests: str) -> Result:
    match run.code:
        case 0:
            return Result(mutant, "survived", tests)
        case 1:
            return Result(mutant, "killed", f"by {run.failed[0]}" if run.failed else tests)
        case 5:
            return Result(mutant, "untested", "the mutant removes the tests that executed this line")
        case None:
            return Result(mutant, "timeout", tests)
        case code:
            return Result(mutant, "killed", f"the tests could not start: pytest exited with code {code}")


def _summary(results: list[Result], fail_under: float) -> int:
    counts = Counter(result.outcome for result in results)
    detected = sum(counts[outcome] for outcome in _DETECTED)
    percent = 100 * detected / len(results) if results else 100.0
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()), f"({percent:.0f} % detected)")
    return int(percent < fail_under)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the copies are removed
    try:
        sys.exit(main())
    except MutationError as error:
        sys.exit(f"mutation: {error}")
