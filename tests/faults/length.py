"""Whether the suite is asked for at length (`make faults`)."""

import os

LONG = os.environ.get("TESTTIME_FAULTS") == "long"
