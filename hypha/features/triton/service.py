"""The functions of the service `triton-client`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest, NotFound, ServerFault
from hypha.features.triton.access import TritonAccess, checked_name, checked_version
from hypha.features.triton.servers import Answer, TritonServers
from hypha.features.triton.tensors import answer_values, request_body

HEAD_LENGTH = "Inference-Header-Content-Length"
ON = "Triton workspace"
NOTE = "read_write on the workspace of `--triton-workspace`; none with `--triton-public`"
MAX_INPUT_BYTES = 16 * 1024 * 1024
"""What somebody without a credential may send to a public model: a large image, not a volume."""


class TritonService:
    """Inference on the Triton servers that this server knows."""

    def __init__(self, servers: TritonServers, access: TritonAccess) -> None:
        self._servers = servers
        self._access = access

    @permission(Level.READ_WRITE, on=ON, note=NOTE, takes_bytes=MAX_INPUT_BYTES)
    async def execute(
        self,
        model_name: str,
        inputs: Any,
        server_url: str | None = None,
        model_version: str = "",
        select_outputs: list[str] | None = None,
        parameters: dict[str, Any] | None = None,
        *,
        context: Context,
    ) -> dict[str, Any]:
        """Run a model; gives its outputs by name, as arrays.

        Refuses an answer above the server's limit for bodies of HTTP calls (64 MiB unless set otherwise).

        Args:
            model_name: The model, as the Triton server names it.
            inputs: A list in the order of the model's inputs, or a map by input name; each an array,
                or numbers, texts and lists of them.
            server_url: One of the known servers; any of them by default.
            model_version: The newest by default.
            select_outputs: Names of the outputs that are wanted; all by default.
            parameters: Parameters of the request, for models that read them.
        """
        await self._access.check(context)
        url = self._servers.choose(server_url)
        config = await self._config(url, model_name, model_version)
        body, head = request_body(_named(config, inputs), select_outputs, parameters)
        headers = {HEAD_LENGTH: str(head), "Content-Type": "application/octet-stream"}
        infer_url = f"{_model_url(url, model_name, model_version)}/infer"
        answer = await self._servers.ask("POST", infer_url, body, headers)
        _check(answer, model_name)
        length = answer.headers.get(HEAD_LENGTH, "")
        return answer_values(answer.content, int(length) if length.isdigit() else None)

    @permission(Level.READ_WRITE, on=ON, note=NOTE)
    async def get_config(
        self, model_name: str, server_url: str | None = None, model_version: str = "", *, context: Context
    ) -> dict[str, Any]:
        """The configuration of a model: its inputs, outputs and how it runs.

        Args:
            model_name: The model, as the Triton server names it.
            server_url: One of the known servers; any of them by default.
            model_version: The newest by default.
        """
        await self._access.check(context)
        return await self._config(self._servers.choose(server_url), model_name, model_version)

    async def _config(self, url: str, model: str, version: str) -> dict[str, Any]:
        answer = await self._servers.ask("GET", f"{_model_url(url, model, version)}/config")
        _check(answer, model)
        try:
            config = orjson.loads(answer.content)
        except ValueError:
            config = None
        if not isinstance(config, dict):
            raise ServerFault("The Triton server answered with something that is no configuration.")
        return config


def _model_url(url: str, model: str, version: str) -> str:
    name, number = checked_name(model), checked_version(version)
    return f"{url}/v2/models/{name}" + (f"/versions/{number}" if number else "")


def _named(config: Mapping[str, Any], inputs: Any) -> list[tuple[str, str, Any]]:
    """(name, data type, value) of each input."""
    known = {
        str(entry["name"]): str(entry.get("data_type", "")).removeprefix("TYPE_").replace("STRING", "BYTES")
        for entry in config.get("input") or ()
    }
    if isinstance(inputs, Mapping) and "_rtype" not in inputs:
        strange = [str(name) for name in inputs if name not in known]
        if strange:
            raise InvalidRequest(f"The model has no input {strange[0][:80]!r}; it has {', '.join(known)}.")
        return [(name, known[name], value) for name, value in inputs.items()]
    if not isinstance(inputs, list):
        raise InvalidRequest("inputs is a list, or a map by input name.")
    if len(inputs) > len(known):
        raise InvalidRequest(f"The model takes {len(known)} inputs; {len(inputs)} were given.")
    return [(name, kind, value) for (name, kind), value in zip(known.items(), inputs, strict=False)]


def _check(answer: Answer, model: str) -> None:
    """Raise what a refusal of the Triton server means."""
    if answer.status == 200:
        return
    try:
        text = str(orjson.loads(answer.content).get("error", ""))[:500]
    except (ValueError, AttributeError):
        text = ""
    text = text or f"status {answer.status}"
    if answer.status == 404 or "unknown model" in text.lower():
        raise NotFound(f"Model not found: {model[:80]}: {text}")
    if answer.status < 500:
        raise InvalidRequest(f"The Triton server refused the request: {text}")
    raise ServerFault(f"The Triton server failed: {text}")
