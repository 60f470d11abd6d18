"""Which Triton servers there are, and who may use them."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import FeatureOptions, flag


@dataclass(frozen=True, kw_only=True, repr=False)
class TritonOptions(FeatureOptions):
    """Triton."""

    ALL_ON = ("--triton-servers=http://127.0.0.1:9",)

    triton_servers: str | None = flag(None, "URLs of Triton servers, separated by commas")
    triton_workspace: str = flag(
        "ws-user-root", "Who has read_write on this workspace may run models on the Triton servers"
    )
    triton_public: bool = flag(
        False, "Let everybody, strangers too, run models on the Triton servers and read about them"
    )
