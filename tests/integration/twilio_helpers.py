"""Sessions of Twilio Proxy's API that two have joined, and calls of the two."""

from typing import Any

from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import call_ended, note_answer, route_call
from engine.calls.reports import AnswerReport, EndReport
from engine.domain.ids import BookingId, CallId
from engine.domain.numbers import E164
from engine.domain.routing import Bridge
from engine.domain.times import EpochMs
from engine.twilio_proxy.upkeep import sweep_sessions
from tests.contract.samples import ENDS
from tests.integration.api_helpers import (
    CALLBACK,
    HIDDEN,
    OTHER_HIDDEN,
    POLICY,
    SECOND,
    Api,
)
from tests.integration.twilio_client import TwilioClient

THIRD = "+33199007000"
PAIR = f"""participants=[{{"Identifier": "{HIDDEN}", "FriendlyName": "Ann"}}, {{"Identifier": "{OTHER_HIDDEN}"}}]"""
MINUTE = 60 * SECOND


async def swept(api: Api, now: EpochMs | None = None) -> list[BookingId]:
    """Sweeps the sessions. Returns the bookings whose ends have moved."""
    moved: list[BookingId] = []
    await sweep_sessions(api.storage, now or api.clock.now(), POLICY, moved.append)
    return moved


async def called(api: Api, service: str, caller: str, call_id: str, seconds: int) -> Any:
    """A call of a participant. Returns the decision."""
    incoming = IncomingCall(CallId(call_id), E164(service), caller, asserted=E164(caller))
    decision = await api.storage.run(route_call, incoming, api.clock.timestamp(), POLICY)
    if isinstance(decision, Bridge) and seconds:
        booking_id = decision.booking.id
        report = AnswerReport(CallId(call_id), booking_id, f"{call_id}-callee", 60)
        await api.storage.run(note_answer, report, api.clock.timestamp())
        api.clock.advance(seconds * SECOND)
        end = EndReport(CallId(call_id), booking_id, seconds * SECOND, ENDS["ANSWER"])
        await api.storage.run(call_ended, end, api.clock.timestamp(), POLICY)
    return decision


async def paired(client: TwilioClient, user: str = "ours", **more: str) -> tuple[str, dict[str, Any]]:
    """Returns the expression of a session with two participants, and the session."""
    service = await client.made(f"services.create(unique_name='shop', callback_url='{CALLBACK}')", user)
    fields = ", ".join([PAIR, *(f"{name}={value}" for name, value in more.items())])
    session = await client.made(f"services('{service['sid']}').sessions.create({fields})", user)
    return f"services('{service['sid']}').sessions('{session['sid']}')", session
