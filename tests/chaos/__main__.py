"""Runs the chaos test. Exit status 0 if database and telephones agree, else 1."""

import argparse
import random
import sys
from functools import partial

from tests.chaos.plan import Wanted
from tests.chaos.run import run
from tests.verdict import carried_out


def main() -> int:
    wanted = _wanted()
    options = f"--seed {wanted.seed} --engine-kills {wanted.engine_kills} --asterisk-kills {wanted.asterisk_kills}"
    repeat = f"python -m tests.chaos {options} --rate {wanted.rate:g}"
    return carried_out(partial(run, wanted), wanted.seed, repeat)


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
