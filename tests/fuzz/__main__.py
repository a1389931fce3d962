"""`make fuzz`: sends mutated INVITEs to a real Asterisk and engine, and makes good calls at the same time.

Before that, as many mutated reports and streams of the manager interface go to what reads them in the engine.

make fuzz                                   100,000 INVITEs, 200 a second
make fuzz COUNT=2000 RATE=200 SEED=7
"""

import argparse
import sys

from tests.fuzz import reports
from tests.fuzz.run import Wanted, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=200)
    given = parser.parse_args()
    reported = reports.run(given.seed, given.count)
    _show_progress(", ".join(f"{what}: {count}" for what, count in sorted(reported.counts.items())))
    for failure in reported.failures:
        _show_progress(f"FAILED: {failure}")
    report = run(Wanted(given.seed, given.count, given.rate), _show_progress)
    for line in report.lines():
        _show_progress(line)
    return 1 if report.failures or reported.failures else 0


def _show_progress(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
