"""Translators between other protocols and services; they hold no state and no business rules.

Each is the folder of its name here, and can be removed with its line below. `http` is none of them: it is the
edge through which their requests come.
"""

GATEWAYS: tuple[str, ...] = ("asgi_apps",)
