"""Runs the chaos test. Exit status 0 if database and telephones agree, else 1."""

import argparse
import random
import sys
import time

from tests.chaos.plan import Wanted
from tests.chaos.run import run


def main() -> int:
    wanted = _wanted()
    began = time.monotonic()

    def show_progress(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.0f} s  {line}\n")
        sys.stdout.flush()

    show_progress(f"seed {wanted.seed}")
    report = run(wanted, show_progress)
    failures = report.failures
    sys.stdout.write("\n".join(["", *report.lines(), "", *failures]))
    options = f"--seed {wanted.seed} --engine-kills {wanted.engine_kills} --asterisk-kills {wanted.asterisk_kills}"
    verdict = f"{len(failures)} failures" if failures else "Database and telephones agree on every call"
    sys.stdout.write(f"\n{verdict}. Repeat with: python -m tests.chaos {options} --rate {wanted.rate:g}\n")
    return 1 if failures else 0


def _wanted() -> Wanted:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kill processes under load, then audit.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="default: random")
    parser.add_argument("--engine-kills", type=int, default=200, help="how often the engine is killed")
    parser.add_argument("--asterisk-kills", type=int, default=20, help="how often Asterisk is killed")
    parser.add_argument("--rate", type=float, default=10, help="calls a second")
    chosen = parser.parse_args()
    return Wanted(chosen.seed, chosen.engine_kills, chosen.asterisk_kills, chosen.rate)


if __name__ == "__main__":
    sys.exit(main())
