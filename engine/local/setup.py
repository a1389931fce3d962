"""First run: secrets, database, demo. Every step is skipped when it was done before."""

import asyncio
from collections.abc import Callable

from engine.config import secrets
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.config.types import Profile
from engine.local import demo
from engine.local.data_dir import make_data_dir
from engine.runtime.clock import SystemClock
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage

Say = Callable[[str], None]


def set_up(settings: Settings, say: Say, *, new_pepper: bool = False) -> secrets.Secrets:
    """Bring `data_dir` to the point where the engine can start. `say` gets a line for each thing that is made.

    `new_pepper`: make another when it is lost, although every API key dies by that.
    """
    make_data_dir(settings)
    kept = _keep_secrets(settings, say, new_pepper=new_pepper)
    if not settings.database.exists():
        say("making the database")
    migrate(settings.database)
    if settings.profile is Profile.DEMO:
        asyncio.run(_set_up_demo(settings, kept, say))
    return kept


def _keep_secrets(settings: Settings, say: Say, *, new_pepper: bool) -> secrets.Secrets:
    directory = settings.data_dir / "secrets"
    if not new_pepper:
        secrets.refuse_lost_pepper(directory, settings.database)
    made = secrets.ensure(directory)
    if made:
        say(f"made secrets in {directory}: {', '.join(made)}")
    return secrets.load(directory)


async def _set_up_demo(settings: Settings, kept: secrets.Secrets, say: Say) -> None:
    storage = SqliteStorage(settings.database)
    now = SystemClock().now()
    try:
        if not await storage.run(demo.exists):
            say(f"making a demo account and {len(demo.POOL)} numbers to rent")
            key = await storage.run(demo.prepare, kept.key_pepper, now, policy_of(settings))
            demo.write_key(settings.data_dir, key)
        elif not demo.key_file(settings.data_dir).exists():
            say("making the demo account another key: the file of the first one is gone")
            demo.write_key(settings.data_dir, await storage.run(demo.another_key, kept.key_pepper, now))
        # Also one that was replaced since.
        demo.write_webhook_secret(settings.data_dir, await storage.run(demo.webhook_secret))
    finally:
        await storage.close()
