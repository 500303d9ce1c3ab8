"""Break the promises of the queue one by one and see that a test notices each: `make mutants`.

    python -m tests.mutants [-k WORDS] [--list]

Ends with 1 if a mutant survives, that is, if nobody would notice that a promise is no longer kept.
"""

import argparse
import sys

from tests.mutants.mutant import Mutant, StaleMutant
from tests.mutants.promises import MUTANTS
from tests.mutants.runner import ALL_SECONDS, ROOT, copied, judged


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "-k", default="", metavar="WORDS", help="only those whose promise or file has these words"
    )
    parser.add_argument("--list", action="store_true", help="only say which there are")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.k.lower() in f"{mutant.promise} {mutant.file}".lower()]
    if not chosen:
        print(f"no mutant's promise or file has {options.k!r}", file=sys.stderr)
        return 2
    try:
        for mutant in chosen:
            mutant.applied(ROOT)
    except StaleMutant as stale:
        print(stale, file=sys.stderr)
        return 2
    if options.list:
        for mutant in chosen:
            print(f"{mutant.file}: {mutant.promise}")
        return 0
    return _run(chosen)


def _run(chosen: list[Mutant]) -> int:
    verdicts: list[str] = []
    with copied() as copy:
        tests = sorted({test for mutant in chosen for test in mutant.tests})
        print(f"{len(tests)} tests without any change …", flush=True)
        status, said = copy.test(tests, seconds=ALL_SECONDS)
        if status != 0:
            print(said, file=sys.stderr)
            print("They fail without any change, and so say nothing.", file=sys.stderr)
            return 2
        for mutant in chosen:
            outcome = judged(copy, mutant)
            verdicts.append(outcome.verdict)
            print(
                f"{outcome.verdict:9} {outcome.seconds:5.0f} s  {mutant.promise}\n"
                f"{'':19}{mutant.file}, noticed by: {outcome.noticed_by}",
                flush=True,
            )
            if outcome.verdict == "broken":
                print(outcome.said, file=sys.stderr)
    counts = {verdict: verdicts.count(verdict) for verdict in ("killed", "survived", "broken")}
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 0 if counts["killed"] == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
