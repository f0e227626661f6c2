"""`python -m testtime` is the command `testtime`."""

import sys

from testtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
