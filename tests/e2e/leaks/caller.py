"""The caller of a cell, and what it received."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from phones.messages import Message
from phones.peer import Address, Body, Dialog, Media, Packet, Peer, media_blocks, media_of, sdp
from phones.peer.media import RTP_HEADER
from tests.e2e.leaks.callee import Part, encrypt
from tests.e2e.leaks.media_lines import KEY
from tests.e2e.leaks.search import Shown
from tests.e2e.leaks.srtp import RTCP_HEADER, Srtp, key_in
from tests.e2e.leaks.table import Column

HOST = "127.0.0.1"
# The discard port.
NO_SOUND = 9
# What these might still bring.
AFTERMATH_SECONDS = 0.2
# This program may read sound before an answer that came earlier, if the answer came over TCP or TLS. A callee sends its
# early sound longer than this before its answer.
READ_LATER_SECONDS = 0.1
# Asterisk refuses further calls while too many wait for the engine's decision. If this program was held up for a
# moment, it would begin many calls at once.
UNDECIDED_AT_ONCE = 8
# Keys that come before Asterisk listens are lost.
QUESTION_SECONDS = 0.2


@dataclass(frozen=True)
class Outcome:
    """`status`: the final answer to the INVITE, or None. `complete`: whether the call went on to its end."""

    shown: Shown
    status: int | None
    complete: bool


async def dial(peer: Peer, asterisk: Address, service: str, part: Part, deciding: asyncio.Semaphore) -> Outcome:
    """Makes one call from the INVITE to its end."""
    media = Media.open(peer.local[0])
    try:
        dialog = await peer.dialog(service, asterisk, source=part.source, transport=part.cell.transport)
        return await play(dialog, media, part, deciding)
    finally:
        media.close()


async def ring_once(peer: Peer, asterisk: Address, service: str, part: Part, deciding: asyncio.Semaphore) -> None:
    """Calls a number that nobody answers, as the callee of this part, over the same transport."""
    dialog = await peer.dialog(service, asterisk, source=part.secret.number, transport=part.cell.transport)
    await dialog.answered(await _invite(dialog, [], sdp((HOST, NO_SOUND), key=_key(part)), deciding))


async def play(dialog: Dialog, media: Media, part: Part, deciding: asyncio.Semaphore) -> Outcome:
    """Makes one call in a dialog that has been prepared. `deciding` bounds how many calls wait for a decision."""
    if _key(part) is not None:
        encrypt(media)
    try:
        complete = await _call(dialog, media, part, deciding)
    except TimeoutError:
        complete = False
    final = next((each for each in dialog.messages if each.method == "INVITE" and (each.status or 0) >= 200), None)
    answered_at = final.at if final is not None and final.status == 200 else None
    if answered_at is not None and part.cell.transport != "udp":
        answered_at -= READ_LATER_SECONDS
    sound, reports = (media.received, media.reports) if _key(part) is None else _decrypted(dialog, media)
    shown = Shown(dialog.received, sound, reports, answered_at, prompted=part.cell.speaks)
    return Outcome(shown, None if final is None else final.status, complete)


def _key(part: Part) -> str | None:
    return KEY if part.cell.transport == "tls" else None


def _decrypted(dialog: Dialog, media: Media) -> tuple[list[Packet], list[Packet]]:
    """Decrypts the sound and the reports that a caller received, with the key in the first answer that has one."""
    keys = [key for message in dialog.messages for block in media_blocks(message) if (key := key_in(block))]
    if not keys:
        return media.received, media.reports
    opened = Srtp(keys[0])
    return (
        [replace(each, data=each.data[:RTP_HEADER] + opened.opened(each)) for each in media.received],
        [replace(each, data=each.data[:RTCP_HEADER] + opened.opened_report(each)) for each in media.reports],
    )


async def _invite(dialog: Dialog, headers: Sequence[str], body: Body, deciding: asyncio.Semaphore) -> int:
    """Sends the INVITE once few others wait for a decision, and waits for its own. Returns its number."""

    def decided(each: Message) -> bool:
        return each.method == "INVITE" and each.status is not None and each.status > 100

    async with deciding:
        number = dialog.request("INVITE", headers, body)
        await dialog.until(decided)
    return number


async def _call(dialog: Dialog, media: Media, part: Part, deciding: asyncio.Semaphore) -> bool:
    """Returns whether the call went on to its end. Raises TimeoutError."""
    dialog.sound = sdp(media.local, key=_key(part))
    headers = [f"P-Asserted-Identity: <sip:{part.source}@{HOST}>"] if part.cell.column.hides_caller else []
    number = await _invite(dialog, headers, dialog.sound, deciding)
    if part.pin:
        await _key_in(part.pin, dialog, media)
    if part.cell.column is Column.CANCELLED:
        await part.until(part.rung)
        dialog.cancel()
    final = await dialog.answered(number)
    if final.status == 200:
        await _talk(dialog, media, part)
    elif not part.heard and not part.played.is_set():
        return False  # the callee has not been called, and will not be
    # The callee may get the BYE after the caller, and then sends its last messages.
    await part.until(part.played)
    await asyncio.sleep(AFTERMATH_SECONDS)
    return True


async def _key_in(pin: str, dialog: Dialog, media: Media) -> None:
    towards = media_of(await dialog.until(lambda each: each.status == 183))
    assert towards is not None
    await asyncio.sleep(QUESTION_SECONDS)
    await media.press(pin, towards)


async def _talk(dialog: Dialog, media: Media, part: Part) -> None:
    answered = next(each for each in dialog.messages if each.status == 200 and each.method == "INVITE")
    part.answered.set()
    towards = media_of(answered)
    assert towards is not None
    await media.stream(b"\xd5" * 160, towards, 3)
    if part.cell.column.caller_ends:
        await part.until(part.played)
        await dialog.answered(dialog.request("BYE"))
    else:
        await dialog.requested("BYE")
