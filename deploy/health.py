"""The image's health check: asks the server of this container whether it is alive. Needs no package.

The port is the one that the container's command names, else that of `HYPHA_PORT`, else the default.
"""

import os
import re
import sys
import urllib.request

DEFAULT_PORT = "9520"


def port_of(command, environment):
    """The port of a server that was started with this command line, words apart by NUL."""
    found = re.search(r"--port[\0=](\d+)", command)
    return found.group(1) if found else environment.get("HYPHA_PORT", DEFAULT_PORT)


if __name__ == "__main__":
    with open("/proc/1/cmdline") as file:
        port = port_of(file.read(), os.environ)
    base = os.environ.get("HYPHA_BASE_PATH", "").rstrip("/")
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}{base}/health/liveness", timeout=4)
    except OSError as error:
        sys.exit(str(error))
