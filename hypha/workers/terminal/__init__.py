"""The terminal worker: apps that are programs in a terminal, which people see and type into."""

from hypha.workers.terminal.running import hypha_startup
from hypha.workers.terminal.worker import TerminalWorker

__all__ = ["TerminalWorker", "hypha_startup"]
