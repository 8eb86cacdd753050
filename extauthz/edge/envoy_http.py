"""The HTTP side of the Envoy configuration: hardening, the enforcement point, one route."""

from datetime import timedelta

from betterproto2 import Message
from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import (
    HeaderMutation as Mutation,
)
from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    HttpProtocolOptionsHeadersWithUnderscoresAction,
    SubstitutionFormatString,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.rbac.v3 import Permission, Policy, Principal, RbacAction
from envoy_data_plane.envoy.config.rbac.v3 import Rbac as Rules
from envoy_data_plane.envoy.config.route.v3 import (
    HeaderMatcher,
    RetryPolicy,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.access_loggers.stream.v3 import StdoutAccessLog
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthz
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerPathWithEscapedSlashesAction,
    HttpConnectionManagerServerHeaderTransformation,
    HttpFilter,
)
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import (
    HeaderMutation,
)
from envoy_data_plane.envoy.type.matcher.v3 import ListStringMatcher, StringMatcher
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.protobuf import Any as Packed
from envoy_data_plane.google.protobuf import Struct

from extauthz.edge.envoy_replies import local_replies
from extauthz.grant import HEADER as GRANT

EDGE = "edge"
MLFLOW = "mlflow"
PAGES = "pages"
# Exactly these; the edge decides about them like about everything else.
_PAGE_PATHS = ("/auth", "/auth/", "/auth/login", "/auth/authorize", "/auth/logout")
# A login asks GitLab several times.
_PAGE_TIMEOUT = timedelta(seconds=15)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Removed before any filter sees them: nobody but the edge may set them.
OURS = (GRANT, "x-mlflow-workspace")
CLIENT = "x-envoy-external-address"
# All that the edge reads. What is not listed still reaches MLflow, unless the edge removes it.
CHECKED = (
    *("authorization", "private-token", "x-gitlab-token", "cookie", GRANT),
    *("origin", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"),
    *("accept", "accept-language", "user-agent", "x-request-id"),
    # Envoy's own: the client behind the trusted proxies. The check's source address is the last
    # proxy's, however many are trusted.
    CLIENT,
)
# Neither paths nor queries nor addresses: project names and tokens do not belong into a log.
LOGGED = {
    "time": "%START_TIME%",
    "event": "request.done",
    "id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD):16%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "outcome": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "ms": "%DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
}
# The signed grant counts: 24 KiB at most, beside the 60 KiB that Envoy allows by default.
HEADERS_KIB = 96


def connection_manager(
    *, mlflow_host: str, prefix: str, trusted_hops: int, check_timeout: timedelta
) -> HttpConnectionManager:
    """Return how HTTP is read, decided and forwarded.

    No upgrade is configured, so WebSocket and CONNECT have no way through. A request may last as
    long as it moves: artifacts are large, so only idling and slow headers are cut off.
    """
    return HttpConnectionManager(
        stat_prefix="public",
        use_remote_address=True,
        xff_num_trusted_hops=trusted_hops,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=(
            HttpConnectionManagerPathWithEscapedSlashesAction.REJECT_REQUEST
        ),
        common_http_protocol_options=HttpProtocolOptions(
            idle_timeout=timedelta(minutes=1),
            headers_with_underscores_action=(
                HttpProtocolOptionsHeadersWithUnderscoresAction.REJECT_REQUEST
            ),
        ),
        http2_protocol_options=Http2ProtocolOptions(
            max_concurrent_streams=100,
            initial_stream_window_size=64 * 1024,
            initial_connection_window_size=1024 * 1024,
        ),
        max_request_headers_kb=HEADERS_KIB,
        request_headers_timeout=timedelta(seconds=15),
        stream_idle_timeout=timedelta(minutes=5),
        server_header_transformation=HttpConnectionManagerServerHeaderTransformation.PASS_THROUGH,
        early_header_mutation_extensions=[_strip_early()],
        http_filters=[_methods(), _authorization(check_timeout), _router()],
        route_config=_routes(mlflow_host, prefix),
        local_reply_config=local_replies(),
        access_log=[_access_log()],
    )


def _strip_early() -> TypedExtensionConfig:
    mutation = HeaderMutation(mutations=[Mutation(remove=name) for name in OURS])
    return TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation", typed_config=Packed.pack(mutation)
    )


def _methods() -> HttpFilter:
    """Refuse TRACE, which echoes credentials, CONNECT, and what nobody knows."""
    allowed = [
        Permission(header=HeaderMatcher(name=":method", string_match=StringMatcher(exact=method)))
        for method in METHODS
    ]
    policy = Policy(permissions=allowed, principals=[Principal(any=True)])
    rules = Rules(action=RbacAction.ALLOW, policies={"known_methods": policy})
    return _filter("envoy.filters.http.rbac", Rbac(rules=rules))


def _authorization(timeout: timedelta) -> HttpFilter:
    """Ask the edge, and refuse whenever it gives no answer."""
    return _filter(
        "envoy.filters.http.ext_authz",
        ExtAuthz(
            grpc_service=GrpcService(
                envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=EDGE),
                timeout=timeout,
            ),
            transport_api_version=ApiVersion.V3,
            failure_mode_allow=False,
            status_on_error=HttpStatus(code=StatusCode.ServiceUnavailable),
            validate_mutations=True,
            allowed_headers=ListStringMatcher(
                patterns=[StringMatcher(exact=name) for name in CHECKED]
            ),
        ),
    )


def _router() -> HttpFilter:
    return _filter("envoy.filters.http.router", Router(suppress_envoy_headers=True))


def _filter(name: str, config: Message) -> HttpFilter:
    return HttpFilter(name=name, typed_config=Packed.pack(config))


def _routes(mlflow_host: str, prefix: str) -> RouteConfiguration:
    action = RouteAction(
        cluster=MLFLOW,
        # The one host that MLflow allows, whatever name clients use.
        host_rewrite_literal=mlflow_host,
        timeout=timedelta(0),
        retry_policy=RetryPolicy(retry_on="connect-failure", num_retries=1),
    )
    pages = [
        Route(
            match=RouteMatch(path=f"{prefix}{path}"),
            route=RouteAction(cluster=PAGES, timeout=_PAGE_TIMEOUT),
        )
        for path in _PAGE_PATHS
    ]
    everything = Route(match=RouteMatch(prefix="/"), route=action)
    return RouteConfiguration(
        name="public",
        virtual_hosts=[VirtualHost(name="mlflow", domains=["*"], routes=[*pages, everything])],
        response_headers_to_remove=["server"],
    )


def _access_log() -> AccessLog:
    line = StdoutAccessLog(
        log_format=SubstitutionFormatString(json_format=Struct.from_dict(LOGGED))
    )
    return AccessLog(name="envoy.access_loggers.stdout", typed_config=Packed.pack(line))
