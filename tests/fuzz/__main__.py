"""`make fuzz`: sends mutated INVITEs to a real Asterisk and engine, and makes good calls at the same time.

make fuzz                                   100,000 INVITEs, 200 a second
make fuzz COUNT=2000 RATE=200 SEED=7
"""

import argparse
import sys

from tests.fuzz.run import Wanted, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=200)
    given = parser.parse_args()
    report = run(Wanted(given.seed, given.count, given.rate), _show_progress)
    for line in report.lines():
        _show_progress(line)
    return 1 if report.failures else 0


def _show_progress(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
