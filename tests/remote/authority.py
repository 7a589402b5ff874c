"""Certificates for tests, and who signs them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_ADDRESSES = ("127.0.0.1", "::1")


class Pair(NamedTuple):
    """The files of a certificate and its key."""

    cert: str
    key: str


class Authority:
    """Signs certificates; its own is in the file `ca`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._count = 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"Authority {folder.name}")
        self.ca = self._write(
            "ca",
            self._made(self._name, self._key, days=10, authority=True).public_bytes(
                serialization.Encoding.PEM
            ),
        )

    def pair(
        self, name: str = "localhost", *, days: int = 10, addresses: tuple[str, ...] = _ADDRESSES
    ) -> Pair:
        """A certificate that is valid for so many days from yesterday on, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = (name, *addresses) if name else addresses
        cert = self._made(_name(name), key, days=days, names=names)
        self._count += 1
        return Pair(
            self._write(f"{self._count}-cert", cert.public_bytes(serialization.Encoding.PEM)),
            self._write(
                f"{self._count}-key",
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                ),
            ),
        )

    def _made(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        days: int,
        names: tuple[str, ...] = (),
        authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now - timedelta(days=1) + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, data: bytes) -> str:
        path = self._folder / f"{name}.pem"
        path.write_bytes(data)
        return str(path)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
