"""Where servers are: as people write it, and as gRPC takes it."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import NamedTuple

from axtui.runtime.config_values import split_address
from axtui.runtime.errors import Refused

DEFAULT_PORT = 8494


class Address(NamedTuple):
    """`host` is without brackets, and empty for a Unix socket, whose `path` is absolute or not."""

    host: str
    port: int
    path: str = ""
    tls: bool = False

    @property
    def target(self) -> str:
        """As gRPC takes it."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, by what is written there."""
        return bool(self.path) or is_loopback(self.host)


def server_address(text: str) -> Address:
    """What `--server` says: HOST:PORT, https://HOST:PORT or unix:PATH; the port may be left out.
    Raises Refused."""
    tls = text.startswith("https://")
    rest = text.removeprefix("https://").removeprefix("http://").removesuffix("/")
    has_port = rest.startswith("unix:") or rest.rpartition(":")[2].isdecimal()
    if rest.count(":") > 1 and not rest.startswith(("[", "unix:")):
        has_port = False
        rest = f"[{rest}]"
    found = _split(rest if has_port else f"{rest}:{DEFAULT_PORT}", text)
    if not found.path and (not found.host or found.host == "*" or not found.port):
        raise _wrong(text)
    return found._replace(tls=tls)


def listen_address(text: str) -> Address:
    """What `--address` of a server says. Raises Refused."""
    found = _split(text, text)
    return found._replace(host="::") if not found.path and found.host in ("", "*") else found


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def bind_error(address: Address) -> str:
    """Why nobody can listen there, in the words of the system."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        if address.path:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.bind(address.path)
        else:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address.host, address.port))
    except OSError as error:
        return error.strerror or str(error)
    return "it is refused"


def _split(text: str, whole: str) -> Address:
    try:
        host, port = split_address(text)
    except ValueError:
        raise _wrong(whole) from None
    if host.startswith("unix:"):
        return Address("", 0, host.removeprefix("unix:"))
    return Address(host.strip("[]"), port)


def _wrong(text: str) -> Refused:
    return Refused(
        "usage",
        f"{text[:80]!r} is no address of a server",
        "HOST:PORT, [IPV6]:PORT or unix:PATH; with TLS https://HOST:PORT",
    )
