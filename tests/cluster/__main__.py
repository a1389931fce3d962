"""`make cluster-chaos`. Exit status 0 if database and telephones agree and every goal is reached, else 1."""

import argparse
import random
import sys
from functools import partial

from tests.cluster.plan import ORDINARY, WITH_PATRONI, Kind, Wanted
from tests.cluster.run import run
from tests.verdict import carried_out


def main() -> int:
    wanted = _wanted()
    options = f"--seed {wanted.seed} --rounds {wanted.rounds} --rate {wanted.rate:g}" + " --patroni" * wanted.patroni
    return carried_out(partial(run, wanted), wanted.seed, f'make cluster-chaos CLUSTER="{options}"')


def _wanted() -> Wanted:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="Break a cluster, then audit it.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="default: random")
    parser.add_argument("--rounds", type=int, default=2, help="how often each part is broken in each way")
    parser.add_argument("--rate", type=float, default=5, help="calls a second")
    parser.add_argument("--patroni", action="store_true", help="Patroni runs PostgreSQL; only that is broken")
    parser.add_argument("--only", type=Kind, choices=list(Kind), nargs="*", help="what is done")
    chosen = parser.parse_args()
    possible = WITH_PATRONI if chosen.patroni else ORDINARY
    kinds = possible if chosen.only is None else tuple(chosen.only)
    if wrong := set(kinds) - set(possible):
        parser.error(f"{', '.join(sorted(wrong))}: {'only without' if chosen.patroni else 'only with'} --patroni")
    if chosen.patroni:
        return Wanted(chosen.seed, chosen.rounds, chosen.rate, crowd=0, moves=0, kinds=kinds, patroni=True)
    return Wanted(chosen.seed, chosen.rounds, chosen.rate, kinds=kinds)


if __name__ == "__main__":
    sys.exit(main())
