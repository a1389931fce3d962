"""Exit status 0 when books and telephones agree, 1 when they do not."""

import argparse
import random
import sys
import time

from tests.chaos.plan import Wanted
from tests.chaos.run import run


def main() -> int:
    wanted = _wanted()
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.0f} s  {line}\n")
        sys.stdout.flush()

    say(f"seed {wanted.seed}")
    report = run(wanted, say)
    failures = report.failures
    sys.stdout.write("\n".join(["", *report.lines(), "", *failures]))
    again = f"--seed {wanted.seed} --engine-kills {wanted.engine_kills} --asterisk-kills {wanted.asterisk_kills}"
    verdict = f"{len(failures)} failures" if failures else "the books are right"
    sys.stdout.write(f"\n{verdict}; again with: python -m tests.chaos {again} --rate {wanted.rate:g}\n")
    return 1 if failures else 0


def _wanted() -> Wanted:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kills under load, then an audit.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="default: a new one")
    parser.add_argument("--engine-kills", type=int, default=200)
    parser.add_argument("--asterisk-kills", type=int, default=20)
    parser.add_argument("--rate", type=float, default=10, help="calls a second")
    chosen = parser.parse_args()
    return Wanted(chosen.seed, chosen.engine_kills, chosen.asterisk_kills, chosen.rate)


if __name__ == "__main__":
    sys.exit(main())
