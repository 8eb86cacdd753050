"""The configuration of Envoy: one listener, one enforcement point, three clusters."""

from datetime import timedelta
from ipaddress import ip_address

import yaml
from betterproto2 import Casing
from envoy_data_plane.envoy.config.bootstrap.v3 import Admin, Bootstrap, BootstrapStaticResources
from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterCommonLbConfig,
    ClusterDiscoveryType,
    ClusterDnsLookupFamily,
    ClusterLbPolicy,
)
from envoy_data_plane.envoy.config.core.v3 import Address as EnvoyAddress
from envoy_data_plane.envoy.config.core.v3 import (
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    KeepaliveSettings,
    Node,
    Pipe,
    SocketAddress,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.overload.v3 import (
    OverloadAction,
    OverloadManager,
    ResourceMonitor,
    ThresholdTrigger,
    Trigger,
)
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections.v3 import (
    DownstreamConnectionsConfig,
)
from envoy_data_plane.envoy.extensions.resource_monitors.fixed_heap.v3 import FixedHeapConfig
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions as UpstreamProtocolOptions,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.v3 import Percent
from envoy_data_plane.google.protobuf import Any as Packed

from extauthz.edge.address import Address
from extauthz.edge.envoy_http import EDGE, MLFLOW, PAGES, connection_manager
from extauthz.edge.envoy_options import EnvoyOptions

HEADER = "# Made by `extauthz envoy-config`. To change it, change extauthz/edge/envoy_config.py.\n"
BUFFER_BYTES = 32 * 1024
# A client of MLflow holds a handful of connections, a browser six.
DOWNSTREAM_CONNECTIONS = 4096
HEAP_BYTES = 1024**3
# Uvicorn closes a connection that was idle for 5 s: Envoy must be the first to let go.
MLFLOW_IDLE = timedelta(seconds=4)
# aiohttp does so after an hour.
PAGES_IDLE = timedelta(minutes=1)


def build(options: EnvoyOptions) -> str:
    """Return the configuration as YAML; raises ValueError for what is no address."""
    return HEADER + yaml.safe_dump(
        bootstrap(options).to_dict(casing=Casing.SNAKE), sort_keys=False, width=100
    )


def bootstrap(options: EnvoyOptions) -> Bootstrap:
    """Return the configuration as Envoy's own message."""
    return Bootstrap(
        node=Node(id="extauthz", cluster="extauthz"),
        admin=_admin(options.admin) if options.admin else None,
        static_resources=BootstrapStaticResources(
            listeners=[_listener(options)],
            clusters=[_edge(options), _pages(options), _mlflow(options)],
        ),
        overload_manager=_overload(),
    )


def _address(text: str) -> EnvoyAddress:
    address = Address.parse(text)
    if address.path:
        return EnvoyAddress(pipe=Pipe(path=address.path))
    host = address.host.strip("[]")
    return EnvoyAddress(socket_address=SocketAddress(address=host, port_value=address.port))


def _admin(where: str) -> Admin:
    # Whoever reaches it can stop Envoy and read this configuration.
    return Admin(address=_address(where), ignore_global_conn_limit=True)


def _listener(options: EnvoyOptions) -> Listener:
    manager = connection_manager(
        mlflow_host=options.mlflow_host,
        prefix=options.prefix,
        trusted_hops=options.trusted_hops,
        check_timeout=timedelta(seconds=options.check_timeout),
    )
    name = "envoy.filters.network.http_connection_manager"
    return Listener(
        name="public",
        address=_address(options.listen),
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        filter_chains=[FilterChain(filters=[Filter(name=name, typed_config=Packed.pack(manager))])],
    )


def _edge(options: EnvoyOptions) -> Cluster:
    protocol = Http2ProtocolOptions(
        connection_keepalive=KeepaliveSettings(
            interval=timedelta(seconds=30), timeout=timedelta(seconds=5)
        )
    )
    return Cluster(
        name=EDGE,
        type=_discovery(options.check),
        dns_lookup_family=ClusterDnsLookupFamily.V4_PREFERRED,
        lb_policy=ClusterLbPolicy.LEAST_REQUEST,
        connect_timeout=timedelta(seconds=1),
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        load_assignment=_assignment(EDGE, options.check),
        typed_extension_protocol_options=_upstream(
            HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=protocol)
        ),
        circuit_breakers=_breakers(connections=64, requests=DOWNSTREAM_CONNECTIONS),
        health_checks=[_health_check()],
        # Leave out the worker that is down, however many are; with none left try them all.
        common_lb_config=ClusterCommonLbConfig(healthy_panic_threshold=Percent(value=1)),
    )


def _health_check() -> HealthCheck:
    # Envoy does not repeat a question to the edge on another worker, so look often.
    return HealthCheck(
        grpc_health_check=HealthCheckGrpcHealthCheck(),
        timeout=timedelta(seconds=1),
        interval=timedelta(seconds=1),
        # Without it Envoy looks only once a minute until the first request.
        no_traffic_interval=timedelta(seconds=1),
        unhealthy_threshold=1,
        healthy_threshold=1,
    )


def _pages(options: EnvoyOptions) -> Cluster:
    return _plain(PAGES, options.pages, idle=PAGES_IDLE, connections=64, requests=256)


def _mlflow(options: EnvoyOptions) -> Cluster:
    return _plain(MLFLOW, options.mlflow, idle=MLFLOW_IDLE, connections=512, requests=1024)


def _plain(name: str, address: str, *, idle: timedelta, connections: int, requests: int) -> Cluster:
    """Return a server that speaks HTTP/1.1."""
    return Cluster(
        name=name,
        type=_discovery((address,)),
        dns_lookup_family=ClusterDnsLookupFamily.V4_PREFERRED,
        connect_timeout=timedelta(seconds=2),
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        load_assignment=_assignment(name, (address,)),
        typed_extension_protocol_options=_upstream(
            HttpProtocolOptionsExplicitHttpConfig(http_protocol_options=Http1ProtocolOptions()),
            HttpProtocolOptions(idle_timeout=idle),
        ),
        circuit_breakers=_breakers(connections=connections, requests=requests),
    )


def _discovery(addresses: tuple[str, ...]) -> ClusterDiscoveryType:
    parsed = [_address(text).socket_address for text in addresses]
    if all(socket is None or _is_ip(socket.address) for socket in parsed):
        return ClusterDiscoveryType.STATIC
    return ClusterDiscoveryType.STRICT_DNS


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _assignment(cluster: str, addresses: tuple[str, ...]) -> ClusterLoadAssignment:
    endpoints = [LbEndpoint(endpoint=Endpoint(address=_address(text))) for text in addresses]
    return ClusterLoadAssignment(
        cluster_name=cluster, endpoints=[LocalityLbEndpoints(lb_endpoints=endpoints)]
    )


def _upstream(
    protocol: HttpProtocolOptionsExplicitHttpConfig, common: HttpProtocolOptions | None = None
) -> dict[str, Packed]:
    options = UpstreamProtocolOptions(
        explicit_http_config=protocol, common_http_protocol_options=common
    )
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": Packed.pack(options)}


def _breakers(*, connections: int, requests: int) -> CircuitBreakers:
    return CircuitBreakers(
        thresholds=[
            CircuitBreakersThresholds(
                max_connections=connections,
                max_pending_requests=requests,
                max_requests=requests,
                max_retries=64,
            )
        ]
    )


def _overload() -> OverloadManager:
    heap = FixedHeapConfig(max_heap_size_bytes=HEAP_BYTES)
    connections = DownstreamConnectionsConfig(
        max_active_downstream_connections=DOWNSTREAM_CONNECTIONS
    )
    return OverloadManager(
        refresh_interval=timedelta(seconds=0.25),
        resource_monitors=[
            ResourceMonitor(
                name="envoy.resource_monitors.fixed_heap", typed_config=Packed.pack(heap)
            ),
            ResourceMonitor(
                name="envoy.resource_monitors.global_downstream_max_connections",
                typed_config=Packed.pack(connections),
            ),
        ],
        actions=[
            _on_heap("envoy.overload_actions.shrink_heap", 0.90),
            _on_heap("envoy.overload_actions.stop_accepting_requests", 0.95),
        ],
    )


def _on_heap(action: str, threshold: float) -> OverloadAction:
    trigger = Trigger(
        name="envoy.resource_monitors.fixed_heap", threshold=ThresholdTrigger(value=threshold)
    )
    return OverloadAction(name=action, triggers=[trigger])
