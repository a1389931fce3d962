"""First-run set-up: secrets, database, demo. A step that was done before is skipped."""

import asyncio
from collections.abc import Callable

from engine.asterisk.softphones import BROWSER_PHONE
from engine.config import secrets
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.config.types import Profile
from engine.domain.errors import Refusal
from engine.local import demo
from engine.local.data_dir import make_data_dir
from engine.local.upgrade import create_or_upgrade, existing_database
from engine.runtime.clock import SystemClock
from engine.storage.database import open_storage

Report = Callable[[str], None]


def set_up(settings: Settings, report: Report, *, new_pepper: bool = False) -> secrets.Secrets:
    """Creates what the engine needs to start, as far as it is missing.

    Args:
        settings: The settings.
        report: Called with one line for each thing that is created.
        new_pepper: Whether to create a new pepper if it is lost. All API keys become invalid then.

    Returns:
        The installation's secrets.

    Raises:
        DataDirUnusable: The data directory cannot be created, or is not safe to use.
        InsecureSecrets: A secret cannot be used, or the pepper is lost.
        StorageUnavailable: The database cannot be upgraded, or must not be opened.
    """
    make_data_dir(settings)
    kept = _ensure_secrets(settings, report, new_pepper=new_pepper)
    create_or_upgrade(settings, report)
    if settings.profile is Profile.DEMO:
        asyncio.run(_set_up_demo(settings, kept, report))
    if settings.has_browser_phone:
        asyncio.run(_set_up_browser_phone(settings, report))
    return kept


def _ensure_secrets(settings: Settings, report: Report, *, new_pepper: bool) -> secrets.Secrets:
    directory = settings.data_dir / "secrets"
    if not new_pepper:
        secrets.refuse_lost_pepper(directory, existing_database(settings))
    created = secrets.ensure(directory)
    if created:
        report(f"created secrets in {directory}: {', '.join(created)}")
    return secrets.load(directory)


async def _set_up_demo(settings: Settings, kept: secrets.Secrets, report: Report) -> None:
    storage = open_storage(settings.books)
    now, policy = SystemClock().now(), policy_of(settings)
    key_file, test_key_file = demo.key_file(settings.data_dir), demo.test_key_file(settings.data_dir)
    try:
        if not await storage.run(demo.exists):
            report(f"creating a demo account and {len(demo.POOL)} numbers to rent")
            demo.write_key(key_file, await storage.run(demo.prepare, kept.key_pepper, now, policy))
        elif not key_file.exists():
            report("creating another key for the demo account: the file with the first one is gone")
            demo.write_key(key_file, await storage.run(demo.another_key, kept.key_pepper, now))
        if not test_key_file.exists():
            demo.write_key(test_key_file, await storage.run(demo.prepare_sandbox, kept.key_pepper, now, policy))
        # Always, because the secret may have been replaced since the last start.
        demo.write_webhook_secret(settings.data_dir, await storage.run(demo.webhook_secret))
    finally:
        await storage.close()


async def _set_up_browser_phone(settings: Settings, report: Report) -> None:
    storage = open_storage(settings.books)
    try:
        if await storage.run(demo.prepare_browser_phone, SystemClock().now(), policy_of(settings)):
            report(f"renting {BROWSER_PHONE.rented} to the telephone in the browser")
    except Refusal as refusal:
        report(f"the telephone in the browser gets no rented number: {refusal}")
    finally:
        await storage.close()
