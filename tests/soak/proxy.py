"""A small TCP proxy before the store: it passes bytes on, or does to them what networks and servers do."""

import socket
import threading
import time
from contextlib import suppress
from typing import Literal

Mode = Literal["pass", "slow", "refuse", "error", "cut", "silent"]
"""slow: each piece waits; refuse: connections are closed at once; error: every request is answered with 500;
cut: answers break off in the middle; silent: nothing is answered any more."""

_PIECE = 16 * 1024
_DELAY_SECONDS = 0.2
_LOOK_SECONDS = 0.2
_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Listens on a port of its own of the local machine and speaks to another one. Set `mode` at any time; it
    holds for open connections too.
    """

    def __init__(self, target_port: int) -> None:
        self.mode: Mode = "pass"
        self._target = target_port
        self._closed = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._listen, name="proxy", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def close(self) -> None:
        self._closed = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _listen(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="proxied", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if self.mode == "refuse":
                return
            with socket.create_connection(("127.0.0.1", self._target), timeout=5) as server:
                back = threading.Thread(target=self._copy, args=(server, client, True), daemon=True)
                back.start()
                self._copy(client, server, False)
                back.join()

    def _copy(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        """Pass pieces on until either side ends, and then end both."""
        source.settimeout(_LOOK_SECONDS)
        with suppress(OSError):
            while not self._closed:
                try:
                    piece = source.recv(_PIECE)
                except TimeoutError:
                    if self.mode == "refuse":
                        break
                    continue
                if not piece or not self._pass_on(piece, source, sink, is_answer):
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, piece: bytes, source: socket.socket, sink: socket.socket, is_answer: bool) -> bool:
        """False when the connection is to end."""
        mode = self.mode
        while self.mode == "silent" and not self._closed:
            time.sleep(_LOOK_SECONDS)
        if mode == "refuse":
            return False
        if mode == "error" and not is_answer:
            source.sendall(_ERROR)
            return False
        if mode == "cut" and is_answer:
            sink.sendall(piece[: len(piece) // 2])
            return False
        if mode == "slow":
            time.sleep(_DELAY_SECONDS)
        sink.sendall(piece)
        return True
