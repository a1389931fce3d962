"""The telephones of a run: one SIPp for all callers, and one for all hidden numbers."""

from collections.abc import Sequence
from pathlib import Path

from phones.sipp import Sipp
from tests.chaos.plan import PlannedCall

SCENARIOS = Path(__file__).resolve().parent / "scenarios"
# Longer than any call or ringing of a run. A telephone whose Asterisk was killed then gives up.
PATIENCE_SECONDS = 12.0
LONGEST_RUN_SECONDS = 4 * 3600.0


def callees(port: int, directory: Path) -> Sipp:
    return Sipp(
        SCENARIOS / "callee.xml",
        port=port,
        calls=10**7,
        timeout=LONGEST_RUN_SECONDS,
        patience=PATIENCE_SECONDS,
        lenient=True,
        directory=directory,
    )


def callers(target: str, planned: Sequence[PlannedCall], rate: float, directory: Path) -> Sipp:
    """The callers, who dial when the `with` begins."""
    directory.mkdir(parents=True)
    lines = directory / "lines.csv"
    lines.write_text("\n".join(["SEQUENTIAL", *(call.line for call in planned)]) + "\n")
    return Sipp(
        SCENARIOS / "caller.xml",
        target=target,
        calls=len(planned),
        rate=rate,
        concurrent=1000,
        timeout=LONGEST_RUN_SECONDS,
        patience=PATIENCE_SECONDS,
        lenient=True,
        lines=lines,
        directory=directory,
    )
