"""What rounds of calls come to: times, CPU, and whether such a rate is carried."""

from dataclasses import dataclass

from bench.asterisk.traffic import RINGING, Round

# From here on callers say everything again: SIP's T1.
PATIENT_MS = 500


@dataclass(frozen=True)
class Way:
    """Rounds of calls that went one way, taken together. Times in ms; CPU in ms a call."""

    calls: int
    failed: int
    ringing_p50: float
    ringing_p99: float
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
            sum(each.asterisk_cpu for each in rounds) * 1000 / calls,
            sum(each.engine_cpu for each in rounds) * 1000 / calls,
        )


def percentile(values: list[float], percent: int) -> float:
    """The least of the values that is not below so many per cent of them; NaN of none."""
    if not values:
        return float("nan")
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def carried(round_: Round) -> bool:
    """Every call was put through, talked and ended, and 99 of 100 rang before their callers would ask again."""
    return round_.cleared == round_.calls and percentile(round_.times[RINGING], 99) < PATIENT_MS
