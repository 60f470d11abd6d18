"""`python -m hypha.workers.terminal`."""

import sys

from hypha.workers.terminal.running import main

if __name__ == "__main__":
    sys.exit(main())
