"""Figures of rounds of calls: times, CPU, and whether the system carries the rate."""

from dataclasses import dataclass

from bench.asterisk.traffic import ANSWERED, RINGING, Round

# After this time callers repeat the INVITE: SIP's T1 (RFC 3261, 17.1.1.1).
PATIENT_MS = 500


@dataclass(frozen=True)
class Way:
    """Figures of all rounds that went the same way. Times in ms; CPU in ms a call."""

    calls: int
    failed: int
    ringing_p50: float
    ringing_p99: float
    answered_p50: float
    asterisk: float
    engine: float

    @classmethod
    def of(cls, rounds: list[Round]) -> "Way":
        calls = sum(each.calls for each in rounds)
        ringing = [took for each in rounds for took in each.times[RINGING]]
        return cls(
            calls,
            calls - sum(each.cleared for each in rounds),
            percentile(ringing, 50),
            percentile(ringing, 99),
            percentile([took for each in rounds for took in each.times[ANSWERED]], 50),
            sum(each.asterisk_cpu for each in rounds) * 1000 / calls,
            sum(each.engine_cpu for each in rounds) * 1000 / calls,
        )


def percentile(values: list[float], percent: int) -> float:
    """The nearest-rank percentile of the values; NaN if there are none."""
    if not values:
        return float("nan")
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def carried(round_: Round) -> bool:
    """Whether every call was put through, talked and ended, and 99 of 100 rang before the INVITE was repeated."""
    return round_.cleared == round_.calls and percentile(round_.times[RINGING], 99) < PATIENT_MS
