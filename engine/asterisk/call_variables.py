"""Channel variables that the engine reads or changes while a call is up; the caller's, unless said otherwise.

asterisk_conf/drop_in/extensions_rented_numbers.conf says when they are set.
"""

VERDICT, BRIDGE = "RN_VERDICT", "BRIDGE"
# The call's lease. The dialplan reads it when the call is connected.
SECONDS = "RN_SECONDS"
# Dial() sets it when the callee answers.
DIALED_PEER = "DIALEDPEERNAME"
# Only in calls whose callee hears something before it is connected. NOT_TAKEN until then.
TAKEN, NOT_TAKEN = "RN_TAKEN", "no"
# On both channels of a call with a beep before its end: the beep's two features in features_rented_numbers.conf.
DYNAMIC_FEATURES, BEEP = "DYNAMIC_FEATURES", "rented-numbers-beep-callee#rented-numbers-beep-caller"
# On the callee's channel: when the last beep began, in milliseconds since 1970.
BEEPED = "RN_BEEPED"
