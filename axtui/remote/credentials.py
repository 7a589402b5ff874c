"""What a client shows to a server, and what it takes for proof of who that is."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from axtui.runtime.errors import Refused

if TYPE_CHECKING:
    import grpc


@dataclass(frozen=True)
class Credentials:
    """A token, and the files of TLS: whose certificates are believed (empty: the system's), and the
    certificate and key that are shown. With `insecure` the token may travel in the clear.
    """

    token: str = field(default="", repr=False)
    ca: str = ""
    cert: str = ""
    key: str = ""
    insecure: bool = False


# Of who has nothing to show.
ANONYMOUS = Credentials()


def channel_credentials(given: Credentials) -> grpc.ChannelCredentials:
    """What gRPC speaks TLS with. Raises Refused for files that can't be used."""
    import grpc

    ssl_context(given)
    return grpc.ssl_channel_credentials(
        _content(given.ca or ssl.get_default_verify_paths().cafile or ""),
        _content(given.key),
        _content(given.cert),
    )


def ssl_context(given: Credentials) -> ssl.SSLContext:
    """The same for Python's own TLS. Raises Refused."""
    try:
        context = ssl.create_default_context(cafile=given.ca or None)
    except (ssl.SSLError, OSError) as error:
        raise _unfit(given.ca, error) from None
    try:
        if given.cert:
            # Without a password nobody is asked for one.
            context.load_cert_chain(given.cert, given.key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise _unfit(f"{given.cert} and {given.key}", error) from None
    context.set_alpn_protocols(["h2"])
    return context


def _content(name: str) -> bytes | None:
    return Path(name).read_bytes() if name else None


def _unfit(names: str, error: Exception) -> Refused:
    if isinstance(error, ssl.SSLError) or not isinstance(error, OSError):
        why = str(getattr(error, "reason", None) or "no PEM").replace("_", " ").lower()
    else:
        why = str(error.strerror)
    return Refused("usage", f"{names} can't be used: {why}", "see --ca, --cert and --key")
