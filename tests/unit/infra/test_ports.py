import socket

from infra.local import ports


def test_picked_ports_and_their_seconds_are_free_and_all_different() -> None:
    picked = ports.pick(12)
    with_seconds = {port for first in picked for port in (first, first + 10_000)}
    assert len(with_seconds) == 24
    assert all(ports.is_free(port) for port in with_seconds)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    (port,) = ports.pick(1)
    with socket.create_server(("127.0.0.1", port)):
        assert not ports.is_free(port)
    assert ports.is_free(port)
