"""`python -m hypha.workers.browser`: the worker as a program."""

import sys

from hypha.workers.browser.running import main

if __name__ == "__main__":
    sys.exit(main())
