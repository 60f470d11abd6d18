"""`python -m hypha.workers.conda`: the worker as a program."""

import sys

from hypha.workers.conda.worker import main

if __name__ == "__main__":
    sys.exit(main())
