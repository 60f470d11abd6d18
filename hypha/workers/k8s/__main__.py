"""`python -m hypha.workers.k8s`: the worker as a program."""

import sys

from hypha.workers.k8s.worker import main

if __name__ == "__main__":
    sys.exit(main())
