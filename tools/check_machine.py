"""Check that this machine has what a make target needs; install it where that is allowed.

Usage: check_machine.py python|node|browser. Runs on any Python 3 and needs no package.
"""

import os
import shutil
import subprocess
import sys

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def stop(sentence):
    """Say what is missing and end with a failure."""
    print(sentence, file=sys.stderr)
    sys.exit(1)


def apt_install(packages, what_for):
    """Install Debian packages when we may, else say what to install and why."""
    sentence = (
        f"Install {' '.join(packages)} ({what_for}), for example: sudo apt-get install {' '.join(packages)}"
    )
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return sentence
    print(f"Installing {' '.join(packages)} ({what_for}) ...")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False, **quiet)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    done = subprocess.run(command, env=environment, check=False, **quiet)
    return None if done.returncode == 0 else sentence


def check_python():
    """Python 3.11 or newer that can make virtual environments."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this runs before the right Python is chosen
        stop(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: name another with PYTHON=..."
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        missing = apt_install(["python3-venv"], "to make a virtual environment")
        if missing:
            stop(missing)


def check_node():
    """Node.js and npm, for the tests with the JavaScript client."""
    if shutil.which("node") and shutil.which("npm"):
        return
    missing = apt_install(["nodejs", "npm"], "for the tests with the JavaScript client")
    if missing:
        stop(missing)


def check_browser():
    """A Chromium, for the tests with a browser page."""
    if os.environ.get("HYPHA_TEST_BROWSER") or any(shutil.which(name) for name in BROWSERS):
        return
    missing = apt_install(["chromium"], "for the tests with a browser page")
    if missing and os.environ.get("CI"):
        stop(missing)
    if missing:
        print(f"{missing}. Until then the browser tests are skipped.", file=sys.stderr)


if __name__ == "__main__":
    {"python": check_python, "node": check_node, "browser": check_browser}[sys.argv[1]]()
