"""M2: no order of operations unbalances the books or lets people talk for more than was granted (hypothesis looks for
the order that does).

The real commands, scripts, limit keeper and reconciler, with a model of Asterisk that keeps its own limits, and clocks
that only the machine moves. A longer run: `LEDGER_EXAMPLES=500 pytest -s tests/contract/test_ledger_machine.py`; a
step is one operation and one audit.
"""

import os
import sqlite3
import time
from dataclasses import replace
from typing import Any

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from engine.domain.plans import UsagePlan
from tests.contract.ledger import broken_rules
from tests.contract.ledger_machine import LIMIT_TOLERANCE_MS, Machine
from tests.contract.model_asterisk import Ami, Phase
from tests.contract.samples import DAY, HOUR, SECOND

EXAMPLES = int(os.environ.get("LEDGER_EXAMPLES", "0"))

plans = st.sampled_from(UsagePlan)
which = st.integers(0, 6)
# Mostly little, or nearly every call would be over before anything happened to it.
STEPS = [*[1, 40, 700, SECOND, 3 * SECOND, 9 * SECOND] * 6, 30 * SECOND, 90 * SECOND, HOUR, DAY, 8 * DAY, 30 * DAY]


class Ledger(Machine):
    """What can happen. What follows from it is in Machine, what must be true afterwards at the end."""
