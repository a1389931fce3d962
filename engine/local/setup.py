"""First run: secrets, database, demo. Every step is skipped when it was done before."""

import asyncio
from collections.abc import Callable

from engine import secrets
from engine.clock import SystemClock
from engine.local import demo
from engine.settings import Profile, Settings
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage

Say = Callable[[str], None]


def set_up(settings: Settings, say: Say) -> secrets.Secrets:
    """Bring `data_dir` to the point where the engine can start. `say` gets a line for each step that takes time."""
    make_data_dir(settings)
    directory = settings.data_dir / "secrets"
    if not directory.exists():
        say("making secrets")
    secrets.ensure(directory)
    kept = secrets.load(directory)
    if not settings.database.exists():
        say("making the database")
    migrate(settings.database)
    if settings.profile is Profile.DEMO:
        asyncio.run(_set_up_demo(settings, kept, say))
    return kept


def make_data_dir(settings: Settings) -> None:
    """For its owner only: the database in it holds hidden numbers."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    settings.data_dir.chmod(0o700)


async def _set_up_demo(settings: Settings, kept: secrets.Secrets, say: Say) -> None:
    storage = SqliteStorage(settings.database)
    now = SystemClock().now()
    try:
        if not await storage.run(demo.exists):
            say(f"making a demo account and {len(demo.POOL)} numbers to rent")
            key = await storage.run(demo.prepare, kept.key_pepper, now, settings.policy())
            demo.write_key(settings.data_dir, key)
        elif not demo.key_file(settings.data_dir).exists():
            say("making the demo account another key: the file of the first one is gone")
            demo.write_key(settings.data_dir, await storage.run(demo.another_key, kept.key_pepper, now))
    finally:
        await storage.close()
