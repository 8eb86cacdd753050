import pytest

from extauthz.edge.site import Site


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("http://localhost:5000", Site("http://localhost:5000", "")),
        ("https://Hub.Example.org/mlflow", Site("https://hub.example.org", "/mlflow")),
        ("https://hub.example.org:443", Site("https://hub.example.org", "")),
        ("http://hub.example.org:80/a/b", Site("http://hub.example.org", "/a/b")),
        ("https://hub.example.org:80", Site("https://hub.example.org:80", "")),
        ("http://[::1]:5000", Site("http://[::1]:5000", "")),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url: str, site: Site) -> None:
    assert Site.of(url) == site


def test_addresses_are_below_the_public_url() -> None:
    site = Site.of("https://hub.example.org/mlflow")
    assert site.view(None) == "https://hub.example.org/mlflow/"
    assert site.view("a/b") == "https://hub.example.org/mlflow/a/b/tracking/"
    assert site.view("a/b", "/graphql") == "https://hub.example.org/mlflow/a/b/tracking/graphql"
