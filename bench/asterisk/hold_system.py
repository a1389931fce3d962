"""Starts the system of the source tree in which it runs, tells where it is, and ends it when its standard input ends.

    python -P hold_system.py DIRECTORY          with PYTHONPATH=TREE, in TREE

The tree may be an older one: this uses nothing but its `bench.asterisk.full_system`.
"""

import json
import sys
from pathlib import Path

from bench.asterisk.full_system import full_system

with full_system(Path(sys.argv[1])) as system:
    place = {
        "sip": system.sip,
        "trunk_port": system.trunk_port,
        "services": system.system.services,
        "asterisk": system.asterisk.pid,
        "engine": system.engine.process.pid,
    }
    print(json.dumps(place), flush=True)
    sys.stdin.read()
