import pytest

from extauthz.edge.address import Address


@pytest.mark.parametrize(
    "text", ["127.0.0.1:9000", "[::1]:9000", "localhost:1", "unix:/run/x.sock"]
)
def test_an_address_reads_back(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "9000", ":9000", "host", "host:", "host:x", "host:70000", "unix:x"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither host:port nor unix"):
        Address.parse(text)


def test_each_worker_has_a_socket_of_its_own() -> None:
    sockets = [str(Address.parse("unix:/run/check.sock").for_worker(n)) for n in range(2)]
    assert sockets == ["unix:/run/check-0.sock", "unix:/run/check-1.sock"]
    assert str(Address.parse("unix:/run/check").for_worker(1)) == "unix:/run/check-1"
    with pytest.raises(ValueError, match="need a Unix socket"):
        Address.parse("127.0.0.1:9000").for_worker(0)
