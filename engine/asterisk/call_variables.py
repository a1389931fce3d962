"""Variables of the caller's channel that the engine reads or changes while a call is up.

asterisk_conf/drop_in/extensions_rented_numbers.conf says when they are set.
"""

VERDICT, BRIDGE = "RN_VERDICT", "BRIDGE"
# The call's lease. The dialplan reads it when the call is connected.
SECONDS = "RN_SECONDS"
# Dial() sets it when the callee answers.
DIALED_PEER = "DIALEDPEERNAME"
# Only in calls whose callee hears something before it is connected. NOT_TAKEN until then.
TAKEN, NOT_TAKEN = "RN_TAKEN", "no"
