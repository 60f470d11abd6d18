"""What administrators may do."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import FeatureOptions, flag


@dataclass(frozen=True, kw_only=True, repr=False)
class AdminOptions(FeatureOptions):
    """Administration."""

    ALL_ON = ("--enable-admin-terminal",)

    enable_admin_terminal: bool = flag(
        False, "A Python prompt inside the server for root; needs --root-token"
    )
