"""Mutation testing: change one line of a copy of the product, and see whether a test fails.

`make mutation`, or `python -m tests.mutation --help`. Not a part of `make test`: what survives is read by a person.
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

from tests.mutation.checkouts import HERE, Checkout, NotRun, Ran, copied, end_all, listed
from tests.mutation.mutants import Mutant, drawn
from tests.mutation.reach import Reach, measured

CACHE: Final = ".mutation_cache"
_NOT_MUTATED: Final = frozenset({"tests", "benchmarks", "migrations", "docs"})
_START_SECONDS: Final = 60.0
"""How long the servers of a run may take to start."""
_SLOWER: Final = 4
"""How many times as long as measured the tests may take with a mutant, before it is ended."""
_DETECTED: Final = frozenset({"killed", "timeout"})


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a mutant: `killed`, `timeout`, `survived`, or `untested` where no test executes it."""

    mutant: Mutant
    outcome: str
    detail: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw mutants, test each, and print the results; the exit code is 1 when too few were detected, else 0."""
    options = _options(arguments)
    root: Path = options.root.resolve()
    sources = {path: (root / path).read_bytes() for path in _modules(root, options.paths, options.base)}
    mutants = drawn(sources, options.count, options.seed)
    print(f"{len(mutants)} mutants of {len(sources)} modules, by SEED={options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        checkouts = [copied(root, Path(folder, f"copy{number}")) for number in range(options.workers)]
        print("measuring which tests execute which line, where that is not known yet", flush=True)
        reach = measured(checkouts[0], root / CACHE, options.tests, ["-m", "not slow", *_spread(options.workers)])
        if reach.failed:
            print(f"{len(reach.failed)} tests fail without a mutant, and are left out: {', '.join(reach.failed[:5])}")
        results = []
        for result in _tested(checkouts, reach, mutants, sources, options.seconds):
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
    parser.add_argument("paths", nargs="*", type=Path, help="modules or folders; without: what differs from `base`")
    parser.add_argument("--root", type=Path, default=HERE, help="the checkout")
    parser.add_argument("--base", default="main", help="the branch whose merge base the checkout is compared with")
    parser.add_argument(
        "--tests", nargs="+", default=[], type=Path, help="files or folders; without: all of `make test`"
    )
    parser.add_argument("--count", type=int, default=20, help="how many mutants")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="draws the same mutants again")  # noqa: S311
    parser.add_argument("--seconds", type=float, default=30.0, help="of tests for each mutant")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1), help="mutants at a time")
    parser.add_argument("--fail-under", type=float, default=0.0, help="percent to be detected")
    return parser.parse_args(arguments)


def _spread(workers: int) -> list[str]:
    return ["-n", str(workers), "--dist", "worksteal"] if workers > 1 else []


def _modules(root: Path, paths: Sequence[Path], base: str) -> list[Path]:
    """The product's modules under the paths; without any, those changed since the merge base, or else all."""
    product = [
        path
        for name in listed(root, "ls-files", "--cached", "--others", "--exclude-standard", "*.py")
        if (path := Path(name)).parts[0] not in _NOT_MUTATED and not path.name.startswith("test_")
    ]
    if paths:
        found = [path for path in product if any(path.is_relative_to(wanted) for wanted in paths)]
    else:
        changed = set(map(Path, listed(root, "diff", "--name-only", "--merge-base", base)))
        found = [path for path in product if path in changed] or product
    if not found:
        raise NotRun(f"no module of the product is in {', '.join(map(str, paths))}")
    return found


def _tested(
    checkouts: list[Checkout], reach: Reach, mutants: list[Mutant], sources: dict[Path, bytes], seconds: float
) -> Iterator[Result]:
    free: SimpleQueue[Checkout] = SimpleQueue()
    for checkout in checkouts:
        free.put(checkout)

    def test(mutant: Mutant) -> Result:
        tests = reach.tests_of(mutant)
        chosen = reach.chosen(tests, seconds)
        if not chosen:
            return Result(mutant, "untested", "no test executes it")
        checkout, source = free.get(), sources[mutant.path]
        try:
            checkout.mutate(mutant.path, mutant.applied_to(source))
            limit = _START_SECONDS + _SLOWER * sum(reach.seconds[test] for test in chosen)
            ran = checkout.run(
                "-x", *sorted({test.partition("::")[0] for test in chosen}), chosen=chosen, limit_seconds=limit
            )
        finally:
            checkout.mutate(mutant.path, source)
            free.put(checkout)
        return _result(mutant, ran, f"{len(chosen)} of the {len(tests)} tests")

    with ThreadPoolExecutor(len(checkouts)) as threads:
        try:
            yield from threads.map(test, mutants)
        except BaseException:  # an interrupt does not wait for the tests that run
            threads.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise


def _result(mutant: Mutant, ran: Ran, tests: str) -> Result:
    match ran.code:
        case 0:
            return Result(mutant, "survived", tests)
        case 1:
            return Result(mutant, "killed", f"by {ran.failed[0]}" if ran.failed else tests)
        case 5:
            return Result(mutant, "untested", "the mutant removes the tests that executed it")
        case None:
            return Result(mutant, "timeout", tests)
        case code:
            return Result(mutant, "killed", f"the tests could not start: pytest ended with {code}")


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
    except NotRun as error:
        sys.exit(f"mutation: {error}")
