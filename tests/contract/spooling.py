"""An end spool in a directory, an engine that reads it, and the Asterisk that writes it."""

from datetime import UTC, datetime
from pathlib import Path

from engine.calls.end_spool import CURRENT, ROTATE_BYTES, EndSpool
from engine.calls.lifecycle import AnswerNoted, Settlement
from engine.calls.report_intake import ReportIntake
from engine.calls.reports import AnswerReport, ReportReader
from engine.domain.policy import UsagePlan
from engine.domain.times import EpochMs, Timestamp
from engine.runtime.authentication import mac_of
from tests.contract.samples import START
from tests.contract.world import World

TOKEN = "0123456789abcdef"


class WorldClock:
    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> EpochMs:
        return self._world.now

    def timestamp(self) -> Timestamp:
        return self._world.at


class Noted:
    """Stands for the limit keeper: what it was told, by call."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, AnswerNoted]] = []
        self.ends: list[str] = []

    def answered(self, report: AnswerReport, noted: AnswerNoted) -> None:
        self.answers.append((report.call_id, noted))

    def settled(self, settlement: Settlement) -> None:
        self.ends.append(settlement.cdr.call_id)


class Reading:
    """One life of an engine, as far as it takes in reports."""

    def __init__(self, world: World, directory: Path, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.noted = Noted()
        self.intake = ReportIntake(ReportReader([TOKEN]), world.storage, WorldClock(world), world.policy, self.noted)
        self.spool = EndSpool(directory, self.intake, rotate_bytes)


def end_line(call_id: str, answered_ms: int = 7_000, dial_status: str = "ANSWER", token: str = TOKEN) -> str:
    text = f"ended {call_id} bkg_any {answered_ms or ''} {dial_status} 20260301120000250"
    return f"{text} {mac_of(token, text)}"


def answer_line(call_id: str, limit: int = 60, at: int = START) -> str:
    wall_clock = datetime.fromtimestamp(at // 1000, UTC).strftime("%Y%m%d%H%M%S") + f"{at % 1000:03}"
    text = f"answered {call_id} bkg_any {call_id}-callee {limit} {wall_clock}"
    return f"{text} {mac_of(TOKEN, text)}"


def write(directory: Path, *reports: str, name: str = CURRENT) -> None:
    """Appends whole lines, as Asterisk's FILE() does."""
    with (directory / name).open("a") as file:
        file.writelines(f"{report}\n" for report in reports)


async def calls_up(world: World, *names: str) -> None:
    booking = await world.book(UsagePlan.LARGE)
    for name in names:
        await world.bridge(booking, name)


def durations(world: World) -> dict[str, int]:
    return {row["call_id"]: row["duration"] for row in world.rows("SELECT call_id, duration FROM cdrs")}


async def settled_later(reading: Reading) -> int:
    """Returns how many ends a later reading settles: each must have been settled by now."""
    return await reading.spool.take_in() + await reading.spool.take_in()
