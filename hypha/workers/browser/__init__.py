"""The browser worker: apps that are web pages, each in a browser context of its own."""

from hypha.workers.browser.worker import BrowserWorker, hypha_startup

__all__ = ["BrowserWorker", "hypha_startup"]
