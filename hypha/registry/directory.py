"""Looking services up: `get_service_info` and `get_service` (docs/spec/manager.md#getting)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from hypha.addresses import ServiceQuery
from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.errors import InvalidRequest
from hypha.limits.crew import Crew
from hypha.registry.balance import DEFAULT_SELECT_TIMEOUT_S
from hypha.registry.calling import Calling
from hypha.registry.records import ServiceRecord
from hypha.values import is_number
from hypha.wire.packed import is_large

DEFAULT_TIMEOUT_S = 10.0
MAX_TIMEOUT_S = 600.0
_CASES = ("camel", "snake")
_CONFIG_KEYS = frozenset({"mode", "timeout", "case_conversion", "select_timeout", "read_app_manifest"})
_DEPTH = 16


@dataclass(frozen=True, slots=True)
class LookupOptions:
    """The `config` of `get_service`, checked; keys that are none of ours are ignored."""

    mode: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    select_timeout_s: float = DEFAULT_SELECT_TIMEOUT_S
    case_conversion: str | None = None

    @classmethod
    def parse(cls, config: object, extra: Mapping[str, Any] | None = None) -> LookupOptions:
        """Read a map, completed by keywords that were given directly.

        Raises:
            InvalidRequest: not a map, or a value of the wrong type.
        """
        if config is not None and not isinstance(config, Mapping):
            raise InvalidRequest("The config of get_service must be a map.")
        given = {key: value for key, value in (config or {}).items() if key in _CONFIG_KEYS}
        given.update({key: value for key, value in (extra or {}).items() if value is not None})
        mode = given.get("mode")
        if mode is not None and not isinstance(mode, str):
            raise InvalidRequest(f"Invalid mode: {mode!r}.")
        case = given.get("case_conversion")
        if case is not None and case not in _CASES:
            raise InvalidRequest(f"Invalid case_conversion: {case!r}, must be 'camel' or 'snake'.")
        return cls(
            mode or None,
            _seconds(given, "timeout", DEFAULT_TIMEOUT_S),
            _seconds(given, "select_timeout", DEFAULT_SELECT_TIMEOUT_S),
            case,
        )


def _seconds(given: Mapping[str, Any], key: str, default: float) -> float:
    value = given.get(key)
    if value is None:
        return default
    if not is_number(value) or not math.isfinite(value) or value <= 0:
        raise InvalidRequest(f"{key} must be a positive number of seconds.")
    return float(min(value, MAX_TIMEOUT_S))


class Directory:
    """Resolves service ids, and fetches the service from whoever provides it."""

    def __init__(
        self,
        calling: Calling,
        public_base_url: str,
        manager_service: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Tie the directory to its sources.

        `manager_service` gives the encoded service of the workspace manager, for `~`.
        """
        self._calling = calling
        self._public_base_url = public_base_url
        self._manager_service = manager_service
        self._crew = Crew(1, "descriptions")

    async def get_service_info(
        self, service_id: object, context: Context, options: LookupOptions
    ) -> dict[str, Any]:
        """The info map of the one service that the id means to the caller."""
        if _is_manager(service_id):
            return self._manager_info()
        record = await self._resolve(service_id, context, options)
        return record.to_info(context)

    async def get_service(
        self, service_id: object, context: Context, options: LookupOptions
    ) -> dict[str, Any]:
        """The encoded service, asked from its provider, completed with id, workspace and URL.

        Raises:
            ServiceNotFound, PermissionDenied, AmbiguousService, InvalidRequest: as `Calling.find`.
            CallTimedOut, ServiceNotFound, CallFailed: as `Calling.fetch`.
        """
        if _is_manager(service_id):
            return _convert_case({**self._manager_service(), "id": "~"}, options.case_conversion)
        record = await self._resolve(service_id, context, options)
        answer = await self._calling.fetch(record, options.timeout_s)
        service = self._complete(answer, record, context)
        if options.case_conversion is not None and is_large(service):  # it may be any size: not on the loop
            return await self._crew.work(partial(_convert_case, service, options.case_conversion))
        return _convert_case(service, options.case_conversion)

    async def _resolve(self, service_id: object, context: Context, options: LookupOptions) -> ServiceRecord:
        query = ServiceQuery.parse(service_id, context.workspace)
        return await self._calling.find(query, context, options.mode, options.select_timeout_s)

    def _complete(self, answer: Mapping[str, Any], record: ServiceRecord, context: Context) -> dict[str, Any]:
        given = answer.get("config")
        config = dict(given) if isinstance(given, Mapping) else {}
        if context.level(record.workspace) < Level.READ:
            config.pop("authorized_workspaces", None)
        config["workspace"] = record.workspace
        words = (quote(word, safe="|@") for word in (record.workspace, record.client_id, record.name))
        config["url"] = "{}/{}/services/{}:{}".format(self._public_base_url, *words)
        return {**answer, "id": record.id, "config": config}

    def _manager_info(self) -> dict[str, Any]:
        service = self._manager_service()
        schema = {
            name: {"type": "function", "function": value.get("_rschema")}
            for name, value in service.items()
            if isinstance(value, Mapping) and value.get("_rtype") == "method"
        }
        kept = ("name", "type", "description", "docs", "config")
        info = {key: service.get(key) for key in kept}
        return {**info, "id": "~", "app_id": "*", "service_schema": schema}


def _is_manager(service_id: object) -> bool:
    """`~` and `ws/~` name the workspace manager itself."""
    return isinstance(service_id, str) and (service_id == "~" or service_id.endswith("/~"))


def _convert_case(service: dict[str, Any], case: str | None) -> dict[str, Any]:
    """Rename the functions, also nested ones; the service's own fields keep their names."""
    if case is None:
        return service
    return {
        key if key in ("id", "config", "service_schema", "app_id") else rename(key, case): (
            value if key in ("config", "service_schema") else _convert(value, key, case, _DEPTH)
        )
        for key, value in service.items()
    }


def _convert(value: Any, name: str, case: str, depth: int) -> Any:
    if not isinstance(value, Mapping) or not depth:
        return value
    kind = value.get("_rtype")
    if kind == "method":
        converted = {**value, "_rname": rename(name, case)}
        schema = value.get("_rschema")
        if isinstance(schema, Mapping) and "name" in schema:
            converted["_rschema"] = {**schema, "name": rename(name, case)}
        return converted
    if kind is not None:
        return value
    return {rename(key, case): _convert(item, key, case, depth - 1) for key, item in value.items()}


def rename(name: Any, case: str) -> Any:
    """A name in `camel` or `snake` case, as the clients convert it."""
    if not isinstance(name, str) or not name:
        return name
    if case == "snake":
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
    if "_" not in name:
        return name[0].lower() + name[1:]
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)
