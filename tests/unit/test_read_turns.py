"""A customer's lists are read one after the other; those of different customers at the same time."""

import asyncio

import pytest

from api.http.problems import ProblemError
from api.http.read_turns import ReadTurns
from engine.domain.ids import AccountId

OURS, THEIRS = AccountId("acc_ours"), AccountId("acc_theirs")


async def test_a_customers_requests_take_turns_in_their_order_and_leave_nothing_behind() -> None:
    turns, begun, reading = ReadTurns(), list[str](), 0

    async def read(customer: AccountId, name: str) -> None:
        nonlocal reading
        async with turns.turn(customer):
            begun.append(name)
            reading += 1
            assert reading <= 2
            await asyncio.sleep(0.01)
            reading -= 1

    await asyncio.gather(*(read(OURS, f"ours {n}") for n in range(3)), read(THEIRS, "theirs"))
    assert begun == ["ours 0", "theirs", "ours 1", "ours 2"]
    assert len(turns) == 0


async def test_a_request_that_waits_too_long_is_refused_and_may_come_again() -> None:
    turns = ReadTurns(wait_seconds=0.01)
    async with turns.turn(OURS):
        with pytest.raises(ProblemError) as refused:
            async with turns.turn(OURS):
                pytest.fail("two at once")
        async with turns.turn(THEIRS):
            pass
    assert (refused.value.code, refused.value.retry_after) == ("too_many_requests", 1)
    async with turns.turn(OURS):
        assert len(turns) == 1
    assert len(turns) == 0
