"""Hypha: the hub through which programs, browsers and instruments call each other."""

__version__ = "0.1.0"
