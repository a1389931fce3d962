"""The part of `doctor` that looks for the sound files of what callers hear."""

from collections.abc import Iterator

from engine.asterisk.config_files import prompt_sources
from engine.asterisk.prompts import SOUNDS
from engine.config.settings import Settings
from engine.local.findings import Finding, Verdict

WRITE_ASTERISK = "then start our own Asterisk again, or run `rented-numbers asterisk-config`"


def prompts(settings: Settings) -> Iterator[Finding]:
    """Checks that there is a sound file for everything that callers are to hear."""
    if not settings.speaks:
        return
    sources = prompt_sources(settings)
    missing, faults = sources.missing(), list(sources.unusable())
    fix = f"replace the recordings in {sources.own}, {WRITE_ASTERISK}"
    for fault in faults:
        yield Finding("prompts", Verdict.WARNING, fault, fix)
    if missing:
        what = f"{len(missing)} of {len(SOUNDS)} have no sound file, so callers hear nothing in their place"
        yield Finding("prompts", Verdict.WARNING, what, f"run deploy/tools.sh prompts, {WRITE_ASTERISK}")
    if not missing and not faults:
        yield Finding("prompts", Verdict.OK, f"all {len(SOUNDS)} have a sound file")
