"""The browser worker: apps that are web pages, each in a browser context of its own."""

from hypha.workers.browser.apart import hypha_startup, startup_in_container
from hypha.workers.browser.worker import BrowserWorker

__all__ = ["BrowserWorker", "hypha_startup", "startup_in_container"]
