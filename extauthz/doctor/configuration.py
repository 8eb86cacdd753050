"""Envoy's configuration, as its admin port tells it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

_LISTENERS: Final = "envoy.admin.v3.ListenersConfigDump"
_ROUTES: Final = "envoy.admin.v3.RoutesConfigDump"
_MANAGER: Final = "http_connection_manager.v3.HttpConnectionManager"
_AUTHORIZER: Final = "filters.http.ext_authz.v3.ExtAuthz"
_PER_ROUTE: Final = "filters.http.ext_authz.v3.ExtAuthzPerRoute"
_FILTER_CONFIG: Final = "envoy.config.route.v3.FilterConfig"
# What is not in force.
_NOT_ACTIVE: Final = frozenset({"warming_state", "draining_state", "error_state"})
# Under one of these a filter asks for some requests only, as in Istio.
_CONDITIONS: Final = ("filter_enabled", "filter_enabled_metadata")


@dataclass(frozen=True, slots=True)
class Authorizer:
    """An ext_authz filter, and the cluster that it asks."""

    asks: str
    fails_open: bool
    conditional: bool


@dataclass(frozen=True, slots=True)
class Configuration:
    """The filters that ask somebody, by listener, and the routes where they do not."""

    authorizers: tuple[tuple[Authorizer, ...], ...]
    exempt: tuple[str, ...]

    @classmethod
    def of(cls, dump: object) -> Self:
        """Read the answer of /config_dump."""
        listeners = _section(dump, _LISTENERS)
        managers = [node for node in _nodes(listeners) if _is(node, _MANAGER)]
        found = [tuple(_authorizers(manager)) for manager in managers]
        return cls(tuple(chain for chain in found if chain), tuple(_exempt(dump)))


def _authorizers(manager: dict[str, Any]) -> Iterator[Authorizer]:
    for entry in manager.get("http_filters", []):
        config = entry.get("typed_config", {})
        if _is(config, _AUTHORIZER):
            yield Authorizer(
                asks=_asked(config),
                fails_open=bool(config.get("failure_mode_allow")),
                # Disabled here, it may be enabled by routes (Envoy Gateway).
                conditional=bool(entry.get("disabled")) or any(c in config for c in _CONDITIONS),
            )


def _asked(config: dict[str, Any]) -> str:
    match config:
        case {"grpc_service": {"envoy_grpc": {"cluster_name": str(name)}}}:
            return name
        case {"grpc_service": {"google_grpc": {"target_uri": str(name)}}}:
            return name
        case {"http_service": {"server_uri": {"cluster": str(name)}}}:
            return name
        case _:
            return "somebody"


def _exempt(dump: object) -> Iterator[str]:
    """Yield names of hosts and routes about which nobody is asked."""
    for node in _nodes(_section(dump, _ROUTES)):
        exemptions = node.get("typed_per_filter_config")
        if isinstance(exemptions, dict) and any(
            _switches_off(name, config) for name, config in exemptions.items()
        ):
            yield _name(node)


def _switches_off(name: str, config: object) -> bool:
    if not isinstance(config, dict) or not config.get("disabled"):
        return False
    return _is(config, _PER_ROUTE) or (_is(config, _FILTER_CONFIG) and "ext_authz" in name)


def _name(node: dict[str, Any]) -> str:
    match node:
        case {"match": {"path": str(path)}}:
            return path
        case {"match": {"prefix": str(prefix)} | {"path_separated_prefix": str(prefix)}}:
            return f"{prefix}*"
        case {"match": {"safe_regex": {"regex": str(regex)}}}:
            return regex
        case {"name": str(name)}:
            return name
        case _:
            return "a route"


def _section(dump: object, kind: str) -> list[object]:
    match dump:
        case {"configs": list(sections)}:
            return [section for section in sections if _is(section, kind)]
        case _:
            return []


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Yield every object in a tree of JSON that is in force."""
    if isinstance(tree, list):
        for item in tree:
            yield from _nodes(item)
    elif isinstance(tree, dict):
        yield tree
        for name, item in tree.items():
            if name not in _NOT_ACTIVE:
                yield from _nodes(item)


def _is(node: object, kind: str) -> bool:
    return isinstance(node, dict) and str(node.get("@type", "")).endswith(kind)
