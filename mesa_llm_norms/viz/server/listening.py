"""The address that the page is served at: a port of this computer, and the names it goes by."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from mesa_llm_norms.errors import SpecError

LOOPBACK = "127.0.0.1"
"""Reached from this computer only. Not ``localhost``, which another program may have as IPv6."""
PORT = 8765
PORTS = 50
"""How many ports are tried, from ``PORT`` on, where none is asked for."""


@dataclass(frozen=True, kw_only=True)
class Listening:
    """A port that is listened on; ``host`` is as it was asked for."""

    socket: socket.socket
    host: str

    @property
    def port(self) -> int:
        """The port."""
        return int(self.socket.getsockname()[1])

    @property
    def private(self) -> bool:
        """Whether only programs on this computer can connect."""
        return ipaddress.ip_address(self._bound).is_loopback

    @property
    def origin(self) -> str:
        """What a browser on this computer puts before the path: ``http://127.0.0.1:8765``."""
        return self._origin(_loopback(self._bound) if self._everywhere else self._bound)

    @property
    def origin_elsewhere(self) -> str:
        """The same for other computers; a guess where it listens on all addresses."""
        return self._origin(_address() if self._everywhere else self._bound)

    def goes_by(self, host: str) -> bool:
        """Whether a request with this ``Host`` header is meant for here.

        Ports are not compared: they may be forwarded from others. On other addresses than the
        loopback ones any address in numbers will do, for nobody can point those elsewhere.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", "127.0.0.1", "::1"):
            return True
        if self.private:
            return name == self.host.lower()
        own = socket.gethostname().lower()
        return name in (self.host.lower(), own, f"{own}.local") or _is_address(name)

    @property
    def _bound(self) -> str:
        return str(self.socket.getsockname()[0])

    @property
    def _everywhere(self) -> bool:
        return ipaddress.ip_address(self._bound).is_unspecified

    def _origin(self, address: str) -> str:
        written = f"[{address}]" if ":" in address else address
        return f"http://{written}:{self.port}"


def listen(host: str = LOOPBACK, port: int | None = None) -> Listening:
    """Listen on a port: any that is free for 0, and for None ``PORT`` or the next one free.

    Raises ``SpecError`` where the port is taken or the host is not one of this computer's.
    """
    if port is not None:
        return Listening(socket=_bind(host, port), host=host)
    for candidate in range(PORT, PORT + PORTS):
        try:
            return Listening(socket=_bind(host, candidate), host=host)
        except SpecError as error:
            if error.argument != "port":
                raise
    raise SpecError(
        "port",
        PORT,
        f"ports {PORT} to {PORT + PORTS - 1} are all taken",
        "Give --port 0 for any that is free.",
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if not host or not host.isascii():  # nothing would be all addresses
            raise OSError(host)
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            why = "taken by another program" if error.errno == errno.EADDRINUSE else "not allowed"
            raise SpecError(
                "port", port, f"port {port} is {why}", "Give another --port, or 0 for a free one."
            ) from error
        raise SpecError(
            "host",
            host,
            f"{host!r} is no address of this computer",
            f"Leave --host out for this computer alone ({LOOPBACK}), or give 0.0.0.0 for all its "
            "addresses.",
        ) from error


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _loopback(unspecified: str) -> str:
    return "::1" if ":" in unspecified else LOOPBACK


def _address() -> str:
    """Return the address that other computers know this one by; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address set aside for documentation
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
