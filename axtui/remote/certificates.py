"""The certificates that a server shows and asks for."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path

import grpc

from axtui.runtime.config import ServerTls
from axtui.runtime.errors import Refused


class Certificates:
    """Read again when their files change, at the next connection; the last good ones stay in force
    where these can't be used. Raises Refused if there are none yet.
    """

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._seen = self._stamp()
        self._first = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with."""
        return grpc.dynamic_ssl_server_credentials(
            self._first,
            self._changed,  # type: ignore[arg-type]
            require_client_authentication=bool(self._tls.client_ca),
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        # gRPC calls this for every connection, in a thread of its own.
        stamp = self._stamp()
        if stamp == self._seen:
            return None
        self._seen = stamp
        try:
            return self._read()
        except Refused as error:
            print(f"axtui: the certificates stay as they were: {error}", file=sys.stderr)
            return None

    def _stamp(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(name) for name in self._files]

    @property
    def _files(self) -> list[str]:
        return [name for name in (self._tls.cert, self._tls.key, self._tls.client_ca) if name]

    def _read(self) -> grpc.ServerCertificateConfiguration:
        tls = self._tls
        contents = [_content(name) for name in self._files]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # Without a password nobody is asked for one.
            context.load_cert_chain(tls.cert, tls.key, password=lambda: "")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise _unfit(f"{tls.cert} and {tls.key}", error) from None
        try:
            if tls.client_ca:
                context.load_verify_locations(tls.client_ca)
        except (ssl.SSLError, OSError) as error:
            raise _unfit(tls.client_ca or "", error) from None
        cert, key, *client_ca = contents
        return grpc.ssl_server_certificate_configuration([(key, cert)], *client_ca)


def _stamp(name: str) -> tuple[int, int, int] | None:
    try:
        about = os.stat(name)
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino


def _content(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise Refused("usage", f"{name}: {error.strerror}", "it is named in server.tls") from None


def _unfit(names: str, error: Exception) -> Refused:
    reason = getattr(error, "reason", None) or "no PEM"
    words = str(reason).replace("_", " ").lower()
    return Refused("usage", f"{names} can't be used: {words}", "they are named in server.tls")
