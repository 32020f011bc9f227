"""The testbed's own certificate authority: for the API server, its clients, the kubelets and https through the ingress.

Keys are ECDSA P-256, made in a moment. What is there already is kept, so a repaired testbed keeps its clients.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LIFETIME = timedelta(days=365)
BACKDATED = timedelta(minutes=5)
"""A certificate begins a little in the past, so that a clock that is set back does not refuse it."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority in two files, ``NAME.crt`` and ``NAME.key``.

    :param folder: where the files are.
    :param name: the files' name, and the subject's common name.
    """

    folder: Path
    name: str = "ca"

    @property
    def certificate(self) -> Path:
        """The file that clients trust."""
        return self.folder / f"{self.name}.crt"

    def ensure(self) -> None:
        """Make the authority unless it is there."""
        if self.certificate.exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"slipway testbed {self.name}")])
        builder = (
            _builder(subject, subject, key.public_key(), signer=key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_ca_usage(), critical=True)
        )
        _write(self.folder / f"{self.name}.key", _private(key))
        _write(self.certificate, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(
        self, stem: Path, common_name: str, *, groups: Iterable[str] = (), names: Iterable[str] = ()
    ) -> tuple[Path, Path]:
        """Sign a certificate, for a server when it has names and always for a client.

        :param stem: path without suffix; ``.crt`` and ``.key`` are written beside each other.
        :param common_name: the user, as Kubernetes sees it.
        :param groups: the user's groups.
        :param names: DNS names and IP addresses that a server answers to.
        :return: the paths of certificate and key.
        """
        certificate, key_file = stem.with_name(f"{stem.name}.crt"), stem.with_name(f"{stem.name}.key")
        if certificate.exists():
            return certificate, key_file
        key = ec.generate_private_key(ec.SECP256R1())
        authority = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        signer = serialization.load_pem_private_key((self.folder / f"{self.name}.key").read_bytes(), None)
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
            # X.509 allows 64 characters here, and nobody matches servers by it any more.
            + [x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])]
        )
        assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 - we wrote it ourselves
        builder = _builder(subject, authority.subject, key.public_key(), signer=signer.public_key()).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
            critical=False,
        )
        alternatives = [_alternative(name) for name in names]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        _write(key_file, _private(key))
        signed = builder.sign(signer, hashes.SHA256())
        _write(certificate, signed.public_bytes(serialization.Encoding.PEM))
        return certificate, key_file


def ensure_key_pair(stem: Path) -> None:
    """Write ``STEM.key`` and ``STEM.pub``, with which service account tokens are signed and checked."""
    public = stem.with_name(f"{stem.name}.pub")
    if public.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    _write(stem.with_name(f"{stem.name}.key"), _private(key))
    _write(
        public,
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def write_kubeconfig(path: Path, *, server: str, ca: Path, certificate: Path, key: Path) -> None:
    """Write a kubeconfig with everything inside, so that it can be copied to another place.

    :param server: URL of the API server.
    """

    def inline(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "slipway-testbed",
        "clusters": [
            {
                "name": "slipway-testbed",
                "cluster": {"server": server, "certificate-authority-data": inline(ca)},
            }
        ],
        "users": [
            {
                "name": "slipway-testbed",
                "user": {"client-certificate-data": inline(certificate), "client-key-data": inline(key)},
            }
        ],
        "contexts": [{"name": "slipway-testbed", "context": {"cluster": "slipway-testbed", "user": "slipway-testbed"}}],
    }
    _write(path, yaml.safe_dump(document, sort_keys=False).encode())


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, *, signer: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    """Begin a certificate. From version 3.13 on, Python refuses one that does not name its own and its signer's key."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _ca_usage() -> x509.KeyUsage:
    signs = {"key_cert_sign", "crl_sign", "digital_signature"}
    flags = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{flag: flag in signs for flag in flags})


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    """Write in one step and for the owner only: a kill leaves the old file or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)
