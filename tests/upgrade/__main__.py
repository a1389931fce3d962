"""Upgrades a system with calls up, from another revision to this checkout. Exit status 0 if every call is right."""

import argparse
import random
import sys

from tests.upgrade.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("revision", help="git's name for the older version, such as a tag")
    parser.add_argument("--rate", type=float, default=5, help="calls a second")
    parser.add_argument("--seconds", type=float, default=20, help="how long calls come in afterwards")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="default: random")
    chosen = parser.parse_args()
    report = run(chosen.revision, chosen.rate, chosen.seconds, chosen.seed)
    sys.stdout.write("\n".join([*report.lines(), *report.failures, ""]))
    verdict = f"{len(report.failures)} failures" if report.failures else "Database and telephones agree on every call"
    sys.stdout.write(f"{verdict}. Repeat with: python -m tests.upgrade {chosen.revision} --seed {chosen.seed}\n")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
