"""Why a server can't be reached: looks at its address once gRPC has given up, which says little."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
import stat
from typing import NamedTuple

from axtui.remote.addresses import Address
from axtui.remote.credentials import Credentials, ssl_context

# Of each look; the longest takes three.
SECONDS = 2.0
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4
_TLS_ALERT = b"\x15\x03"
_EXPIRED, _NOT_YET, _WRONG_NAME, _WRONG_ADDRESS = 10, 9, 62, 64


class Cause(NamedTuple):
    """What is wrong, in a few words, and what to do about it."""

    what: str
    hint: str = "`axtui serve` starts one; a run that it drove goes on once it is back"


async def diagnose(address: Address, credentials: Credentials) -> Cause | None:
    """Why nobody answers there; None if there seems to be a gRPC server."""
    try:
        if address.path:
            return await _look_at_socket(address.path)
        await _answer(address, b"")
        return await (_look_at_tls(address, credentials) if address.tls else _look(address))
    except TimeoutError:
        return Cause(f"nothing answers at {address.target} within {SECONDS:.0f} s")
    except OSError as error:
        return _unconnected(address, error)


async def _look_at_socket(path: str) -> Cause | None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return Cause(f"{path} is no socket")
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_unix_connection(path)
        writer.close()
    except FileNotFoundError:
        return Cause(f"there is no socket {path}")
    except ConnectionRefusedError:
        return Cause(f"nobody listens at {path} any more")
    except OSError as error:
        return Cause(f"{path}: {error.strerror or error}")
    return None


def _unconnected(address: Address, error: OSError) -> Cause:
    match error.errno:
        case errno.ECONNREFUSED:
            return Cause(f"nothing listens at {address.target}")
        case errno.ETIMEDOUT:
            return Cause(f"nothing answers at {address.target}")
        case None | -2 | -3 | -5 | 8:
            return Cause(f"nobody knows a machine {address.host!r}", "check the address")
    # Where several addresses were tried, asyncio puts what each has said into one.
    return Cause(f"{address.target} can't be reached: {error.strerror or error}")


async def _look(address: Address) -> Cause | None:
    """At a port that is spoken to in the clear."""
    try:
        said = await _answer(address, _HELLO)
    except TimeoutError:
        return Cause(f"{address.target} takes connections, but says nothing", "check the address")
    if said.startswith(b"HTTP/"):
        return Cause(f"{address.target} is a web server, and speaks no gRPC", "check the address")
    if len(said) > 3 and said[3] == _SETTINGS:
        return None
    if said.startswith(_TLS_ALERT) or await _speaks_tls(address):
        return Cause(
            f"{address.target} speaks TLS", f"write https://{address.target}, and --ca if need be"
        )
    return Cause(f"what is at {address.target} speaks no gRPC", "check the address")


async def _look_at_tls(address: Address, credentials: Credentials) -> Cause | None:
    try:
        said = await _answer(address, _HELLO, ssl_context(credentials))
    except ssl.SSLCertVerificationError as error:
        return _unverified(address, error)
    except TimeoutError:
        raise
    except OSError as error:
        if "ALERT" not in str(getattr(error, "reason", "")):
            return await _without_tls(address)
        said = b""
    if said.startswith(b"HTTP/"):
        return Cause(f"{address.target} is a web server, and speaks no gRPC", "check the address")
    if said:
        return None
    # Since TLS 1.3, who doesn't like our certificate hangs up after the handshake.
    if credentials.cert:
        return Cause(f"{address.target} doesn't take our certificate", "check --cert and --key")
    return Cause(f"{address.target} wants a certificate of ours", "give --cert and --key")


def _unverified(address: Address, error: ssl.SSLCertVerificationError) -> Cause:
    match error.verify_code:
        case code if code == _EXPIRED:
            return Cause(f"the certificate of {address.target} has expired", "it needs a new one")
        case code if code == _NOT_YET:
            return Cause(f"the certificate of {address.target} isn't valid yet", "check the clocks")
        case code if code in (_WRONG_NAME, _WRONG_ADDRESS):
            return Cause(
                f"the certificate of {address.target} is for another name than {address.host!r}",
                "use a name that is in it",
            )
    return Cause(
        f"nobody we know has signed the certificate of {address.target} ({error.verify_message})",
        "--ca FILE, or AXTUI_CA, names who has",
    )


async def _without_tls(address: Address) -> Cause:
    plain = address._replace(tls=False)
    if await _look(plain) is None:
        return Cause(f"{address.target} speaks no TLS", f"write {address.target} without https://")
    return Cause(f"what is at {address.target} speaks no TLS", "check the address")


async def _speaks_tls(address: Address) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        await _answer(address, b"", context)
    except ssl.SSLError as error:
        return "ALERT" in str(error.reason)
    except (OSError, TimeoutError):
        return False
    return True


async def _answer(address: Address, hello: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """The first that is said to `hello`; without one, nothing is waited for but the connection."""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(
            address.host, address.port, ssl=tls, server_hostname=address.host if tls else None
        )
        try:
            if not hello:
                return b""
            writer.write(hello)
            return await reader.read(64)
        except (ConnectionError, ssl.SSLError):
            return b""
        finally:
            writer.transport.abort()
