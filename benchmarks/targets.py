"""Targets: the most that a figure may be."""

from typing import Final

from benchmarks.figures import markdown

TARGETS: Final = {
    "core.cached_us": (60, "a cached decision of the core, µs"),
    "edge.cpu_us_per_check": (400, "the whole edge, CPU per check, µs"),
    "envoy.added_p50_ms_c1": (0.6, "added p50 through Envoy at one connection, ms"),
    "mlflow.get_ratio": (1.10, "MLflow get, against the same Envoy without ext_authz"),
    "mlflow.get_ratio_bare": (1.25, "MLflow get, against bare MLflow"),
    "edge.cold_provider_calls": (1, "calls to the provider for a cold check"),
}


def table(values: dict[str, float]) -> str:
    """Return each target that was measured, and whether it was met."""
    rows = [
        (text, f"{most:g}", f"{values[name]:.4g}", "met" if values[name] <= most else "**missed**")
        for name, (most, text) in TARGETS.items()
        if name in values
    ]
    return markdown(("target", "at most", "measured", ""), rows)
