"""Ports of 127.0.0.1 for servers that start at the same moment."""

import socket
import subprocess
import sys
from contextlib import closing

from infra.local import ports

_CHOOSE_AND_LISTEN = """
import socket, sys
from infra.local import ports
wanted = int(sys.argv[1])
with ports.choosing():
    port = wanted if ports.is_free(wanted) else ports.pick(1)[0]
    server = socket.create_server(("127.0.0.1", port))
print(port, flush=True)
sys.stdin.read()
"""


def test_of_processes_that_want_a_port_at_the_same_moment_each_listens_at_its_own() -> None:
    (wanted,) = ports.pick(1)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _CHOOSE_AND_LISTEN, str(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        found = [int(each.stdout.readline()) for each in started if each.stdout is not None]
    finally:
        for each in started:
            each.communicate()
    assert wanted in found
    assert len(set(found)) == 4


def test_a_port_is_free_until_a_server_listens_there() -> None:
    (port,) = ports.pick(1)
    assert ports.is_free(port)
    with closing(socket.create_server(("127.0.0.1", port))):
        assert not ports.is_free(port)
