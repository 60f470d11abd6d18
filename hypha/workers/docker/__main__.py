"""`python -m hypha.workers.docker`: the worker as a program."""

import sys

from hypha.workers.docker.worker import main

if __name__ == "__main__":
    sys.exit(main())
