from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from testbed import pki

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("10.200.0.1", "localhost", "*.testbed.internal")


@pytest.fixture
def authority(tmp_path: Path) -> pki.Authority:
    made = pki.Authority(tmp_path / "pki")
    made.ensure()
    return made


def handshake(authority: pki.Authority, server: tuple[Path, Path], name: str, client: tuple[Path, Path]) -> None:
    """Speak TLS in memory, each side checking the other."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(*server)
    server_context.load_verify_locations(authority.certificate)
    server_context.verify_mode = ssl.CERT_REQUIRED
    client_context = ssl.create_default_context(cafile=str(authority.certificate))
    client_context.load_cert_chain(*client)
    for context in (server_context, client_context):
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of Python 3.13
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client_context.wrap_bio(to_client, to_server, server_hostname=name),
        server_context.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    for end in ends:
        assert end.getpeercert()


@pytest.mark.parametrize("name", ["10.200.0.1", "localhost", "prometheus.testbed.internal"])
def test_verifies_by_address_and_by_name(authority: pki.Authority, tmp_path: Path, name: str) -> None:
    server = authority.issue(tmp_path / "tls", "kube-apiserver", names=NAMES)
    handshake(authority, server, name, authority.issue(tmp_path / "client", "admin"))


@pytest.mark.parametrize("name", ["10.200.0.2", "example.org"])
def test_refuses_a_name_that_was_not_signed(authority: pki.Authority, tmp_path: Path, name: str) -> None:
    server = authority.issue(tmp_path / "tls", "kube-apiserver", names=NAMES)
    client = authority.issue(tmp_path / "client", "admin")
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        handshake(authority, server, name, client)


def test_refuses_a_server_of_another_authority(authority: pki.Authority, tmp_path: Path) -> None:
    other = pki.Authority(tmp_path / "pki", "other")
    other.ensure()
    server = other.issue(tmp_path / "tls", "kube-apiserver", names=NAMES)
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate"):
        handshake(authority, server, "localhost", authority.issue(tmp_path / "client", "admin"))


def test_writes_user_and_groups_as_kubernetes_reads_them(authority: pki.Authority, tmp_path: Path) -> None:
    certificate, _ = authority.issue(tmp_path / "admin", "admin", groups=["system:masters", "people"])
    subject = x509.load_pem_x509_certificate(certificate.read_bytes()).subject
    assert subject.rfc4514_string() == "CN=admin,O=people,O=system:masters"


def test_shortens_a_common_name_that_x509_would_refuse(authority: pki.Authority, tmp_path: Path) -> None:
    certificate, _ = authority.issue(tmp_path / "long", "n" * 100)
    subject = x509.load_pem_x509_certificate(certificate.read_bytes()).subject
    assert subject.rfc4514_string() == f"CN={'n' * 64}"


def test_begins_in_the_past_and_lasts_a_year(authority: pki.Authority) -> None:
    signed = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    assert signed.not_valid_after_utc - signed.not_valid_before_utc == pki.LIFETIME + pki.BACKDATED


def test_keeps_what_is_there(authority: pki.Authority, tmp_path: Path) -> None:
    def everything() -> dict[str, bytes]:
        authority.ensure()
        authority.issue(tmp_path / "tls", "kube-apiserver", names=NAMES)
        pki.ensure_key_pair(tmp_path / "service-account")
        return {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    first = everything()
    assert {path.rpartition("/")[2] for path in first} == {
        "ca.crt",
        "ca.key",
        "tls.crt",
        "tls.key",
        "service-account.key",
        "service-account.pub",
    }
    assert everything() == first


def test_makes_anew_what_a_kill_left_half(authority: pki.Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue(tmp_path / "tls", "kube-apiserver", names=NAMES)
    certificate.unlink()  # the key is written first
    lonely = key.read_bytes()
    server = authority.issue(tmp_path / "tls", "kube-apiserver", names=NAMES)
    assert key.read_bytes() != lonely
    handshake(authority, server, "localhost", authority.issue(tmp_path / "client", "admin"))


def test_shows_keys_to_the_owner_only(authority: pki.Authority, tmp_path: Path) -> None:
    authority.issue(tmp_path / "tls", "kube-apiserver", names=NAMES)
    pki.ensure_key_pair(tmp_path / "service-account")
    keys = sorted(tmp_path.rglob("*.key"))
    assert [key.name for key in keys] == ["ca.key", "service-account.key", "tls.key"]
    assert {oct(key.stat().st_mode & 0o777) for key in keys} == {"0o600"}


def test_pairs_the_service_account_keys(tmp_path: Path) -> None:
    pki.ensure_key_pair(tmp_path / "service-account")
    private = serialization.load_pem_private_key((tmp_path / "service-account.key").read_bytes(), None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert (tmp_path / "service-account.pub").read_bytes() == public


def test_writes_a_kubeconfig_that_needs_no_other_file(authority: pki.Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue(tmp_path / "admin", "admin")
    path = tmp_path / "deep" / "kubeconfig"
    server = "https://10.200.0.1:6443"
    pki.write_kubeconfig(path, server=server, ca=authority.certificate, certificate=certificate, key=key)

    def inline(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    assert yaml.safe_load(path.read_text(encoding="utf-8")) == {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "slipway-testbed",
        "clusters": [
            {
                "name": "slipway-testbed",
                "cluster": {"server": server, "certificate-authority-data": inline(authority.certificate)},
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
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["kubeconfig"]
