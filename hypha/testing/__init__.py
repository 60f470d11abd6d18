"""Test kit for people who build services on this server, and for its own tests.

- `server`: a real server in its own process: start, stop, kill, freeze, restart
- `tokens`: tokens minted with the shared secret, without asking the server
- `clients`: unmodified Python and Node clients in processes of their own, driven from the test
- `worker`: the program that such a Python process runs
- `rawclient`: a socket that sends frames made by hand
- `crowd`: thousands of clients at once, for load
- `proxy`: a TCP proxy that cuts, resets, stalls, loses, delays and throttles
- `oplog`: what was sent, run and answered, and a checker of the promises
- `waiting`: wait for a condition with a deadline instead of sleeping
- `chaos`: long random runs from the command line
"""

from hypha.testing.clients import NodeWorker, PythonWorker, Worker, WorkerError
from hypha.testing.crowd import CrowdClient
from hypha.testing.oplog import OperationLog, Report
from hypha.testing.proxy import Direction, FaultProxy, FaultScript, Link
from hypha.testing.rawclient import RawCallError, RawClient, RawRefused
from hypha.testing.server import ServerFailed, ServerProcess, free_port
from hypha.testing.tokens import mint_token
from hypha.testing.waiting import eventually

__all__ = [
    "CrowdClient",
    "Direction",
    "FaultProxy",
    "FaultScript",
    "Link",
    "NodeWorker",
    "OperationLog",
    "PythonWorker",
    "RawCallError",
    "RawClient",
    "RawRefused",
    "Report",
    "ServerFailed",
    "ServerProcess",
    "Worker",
    "WorkerError",
    "eventually",
    "free_port",
    "mint_token",
]
