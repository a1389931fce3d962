"""Binds the AGI paths to their scripts."""

from functools import partial

from agi_scripts import dialplan
from agi_scripts.answered import answered
from agi_scripts.context import CallContext
from agi_scripts.ended import ended
from agi_scripts.route import route
from agi_scripts.server import Script


def scripts(context: CallContext) -> dict[str, Script]:
    """AGI path → script."""
    return {
        dialplan.ROUTE: partial(route, context),
        dialplan.ANSWERED: partial(answered, context),
        dialplan.ENDED: partial(ended, context),
    }
