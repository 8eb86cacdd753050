"""What Envoy itself answers, in the form that MLflow's clients show."""

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLogFilter, ExtensionFilter
from envoy_data_plane.envoy.config.core.v3 import (
    HeaderValue,
    HeaderValueOption,
    SubstitutionFormatString,
)
from envoy_data_plane.envoy.extensions.access_loggers.filters.cel.v3 import ExpressionFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    LocalReplyConfig,
    ResponseMapper,
)
from envoy_data_plane.google.protobuf import Any as Packed
from envoy_data_plane.google.protobuf import Struct

RETRY_AFTER = "5"
# A refusal of the edge passes here too, and is already in the right form.
_NOT_THE_EDGE = "response.code_details != 'ext_authz_denied'"


def local_replies() -> LocalReplyConfig:
    """Return MLflow-shaped bodies for every answer that neither the edge nor MLflow made."""
    return LocalReplyConfig(
        mappers=[
            _reply(
                "response.code_details == 'ext_authz_error'",
                "TEMPORARILY_UNAVAILABLE",
                "Permissions cannot be checked right now. Try again in a moment.",
                retry=True,
            ),
            _reply(
                # What the edge sets passes its own checks; only beside a client's headers of
                # nearly the limit it is too much.
                "response.code_details == 'ext_authz_invalid'",
                "BAD_REQUEST",
                "The request's headers are too large.",
                status=431,
            ),
            _reply(
                "response.code in [502, 503, 504]",
                "TEMPORARILY_UNAVAILABLE",
                "MLflow cannot be reached right now. Try again in a moment.",
                retry=True,
            ),
            _reply("response.code >= 500", "INTERNAL_ERROR", "The request could not be forwarded."),
            _reply(
                "response.code == 403",
                "PERMISSION_DENIED",
                "This method or protocol upgrade is not allowed.",
            ),
            _reply("response.code == 404", "ENDPOINT_NOT_FOUND", "There is nothing here."),
            _reply("response.code == 431", "BAD_REQUEST", "The request's headers are too large."),
            _reply(
                "response.code >= 400",
                "BAD_REQUEST",
                "The request is malformed, ambiguous or too slow.",
            ),
        ]
    )


def _reply(
    when: str, code: str, message: str, *, retry: bool = False, status: int | None = None
) -> ResponseMapper:
    condition = ExpressionFilter(expression=f"{_NOT_THE_EDGE} && {when}")
    name = "envoy.access_loggers.extension_filters.cel"
    extension = ExtensionFilter(name=name, typed_config=Packed.pack(condition))
    body = Struct.from_dict({"error_code": code, "message": message})
    retry_after = HeaderValueOption(header=HeaderValue(key="retry-after", value=RETRY_AFTER))
    return ResponseMapper(
        filter=AccessLogFilter(extension_filter=extension),
        body_format_override=SubstitutionFormatString(json_format=body),
        headers_to_add=[retry_after] if retry else [],
        status_code=status,
    )
