"""Fixtures: a database with an account, and the FastAGI server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.world import World
from tests.integration.database_world import world_on_disk
from tests.integration.fake_asterisk import (
    FastAgi,
    fast_agi,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_on_disk(tmp_path) as world:
        yield world


@pytest.fixture
async def agi(world: World) -> AsyncIterator[FastAgi]:
    async with fast_agi(world) as agi:
        yield agi
