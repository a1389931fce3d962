"""Ends live calls where Asterisk can be reached; the next sweep tries again where it cannot."""

import asyncio
from collections.abc import Sequence

import structlog

from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiRefused, AmiUnavailable

log = structlog.get_logger(__name__)


async def hang_up(link: AmiLink, channels: Sequence[str]) -> None:
    """Ends the calls of these channels."""
    await asyncio.gather(*(_hang_up(link, channel) for channel in channels))


async def _hang_up(link: AmiLink, channel: str) -> None:
    try:
        await link.hang_up(channel)
    except AmiUnavailable as error:
        log.warning("hang_up_postponed", channel=channel, reason=str(error))
    except AmiRefused as error:
        log.info("hang_up_refused", channel=channel, reason=str(error))
