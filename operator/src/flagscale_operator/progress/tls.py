"""Certificates of the progress server: a CA that outlives restarts, and server keys that don't.

The CA lies in a Secret of the operator's namespace, because running pods trust it. A server
certificate is issued from it in memory by each process, for its own address, and again before it
expires; it never has to be stored, shared or cleaned up.
"""

import ipaddress
import ssl
import tempfile
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from flagscale_operator.errors import ApiError, TransientError
from flagscale_operator.kube.client import Kube, Manifest
from flagscale_operator.kube.kinds import PROGRESS_SECRET_NAME, PROGRESS_SERVICE_NAME, SECRET

CA_VALID = timedelta(days=3650)
CA_RENEW_BEFORE = timedelta(days=90)
SERVER_VALID = timedelta(days=90)
SERVER_RENEW_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Certificates:
    """The CA that pods trust, and the names its server certificates are for."""

    ca_pem: str
    ca_key_pem: str = field(repr=False)
    names: tuple[str, ...]

    def load_into(self, context: ssl.SSLContext, *, now: datetime) -> datetime:
        """Issue a server certificate for new connections; the time to do so again."""
        ca = x509.load_pem_x509_certificate(self.ca_pem.encode())
        ca_key = _private_key(self.ca_key_pem)
        key = ec.generate_private_key(ec.SECP256R1())
        until = min(now + SERVER_VALID, ca.not_valid_after_utc)
        certificate = (
            _builder(PROGRESS_SERVICE_NAME, ca.subject, key, ca_key, now=now, until=until)
            .add_extension(x509.SubjectAlternativeName(_alternatives(self.names)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        _load(context, _pem(certificate), _key_pem(key))
        return until - SERVER_RENEW_BEFORE


async def ensure_certificates(
    kube: Kube,
    *,
    namespace: str,
    pod_ip: str,
    now: datetime,
    extra_names: Sequence[str] = (),
) -> Certificates:
    """The CA from its Secret, made when it is missing, damaged or about to expire.

    Raises:
        TransientError: another process keeps changing the Secret.
    """
    names = (*_service_names(namespace), pod_ip, *extra_names)
    for _ in range(5):
        secret = await kube.get(SECRET, namespace, PROGRESS_SECRET_NAME)
        ca = _stored(secret, now=now)
        if ca is None:
            try:
                ca = await _store_new(kube, namespace, secret, now=now)
            except ApiError as error:
                # Another replica was faster: its CA is the one to use.
                if error.conflict or error.not_found:
                    continue
                raise
        return Certificates(ca_pem=ca[0], ca_key_pem=ca[1], names=names)
    msg = f"Secret {namespace}/{PROGRESS_SECRET_NAME}: changed by others 5 times; trying again"
    raise TransientError(msg)


def _service_names(namespace: str) -> tuple[str, ...]:
    service = f"{PROGRESS_SERVICE_NAME}.{namespace}"
    return (PROGRESS_SERVICE_NAME, service, f"{service}.svc", f"{service}.svc.cluster.local")


def _stored(secret: Manifest | None, *, now: datetime) -> tuple[str, str] | None:
    """Certificate and key of a CA that is whole and stays valid for a while."""
    data = (secret or {}).get("data") or {}
    try:
        certificate = b64decode(data["ca.crt"], validate=True).decode()
        key = b64decode(data["ca.key"], validate=True).decode()
        parsed = x509.load_pem_x509_certificate(certificate.encode())
        matches = parsed.public_key() == _private_key(key).public_key()
    except (KeyError, ValueError, TypeError, Base64Error):
        return None
    lasts = parsed.not_valid_after_utc - CA_RENEW_BEFORE > now.astimezone(UTC)
    return (certificate, key) if matches and lasts else None


async def _store_new(
    kube: Kube, namespace: str, old: Manifest | None, *, now: datetime
) -> tuple[str, str]:
    certificate, key = _new_ca(now=now)
    metadata = old["metadata"] if old else {"name": PROGRESS_SECRET_NAME, "namespace": namespace}
    manifest: dict[str, Any] = {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": metadata,
        "type": old.get("type", "Opaque") if old else "Opaque",
        "data": {
            "ca.crt": b64encode(certificate.encode()).decode(),
            "ca.key": b64encode(key.encode()).decode(),
        },
    }
    await (kube.replace(SECRET, manifest) if old else kube.create(SECRET, manifest))
    return certificate, key


def _new_ca(*, now: datetime) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"{PROGRESS_SERVICE_NAME} CA"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(name, subject, key, key, now=now, until=now + CA_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def _builder(
    name: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    # The two key identifiers are what Python 3.13's strict verification asks for.
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _private_key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = f"Secret {PROGRESS_SECRET_NAME}: ca.key is no elliptic-curve key; delete the Secret"
        raise TypeError(msg)
    return key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # The ssl module loads certificates from files only.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        path.touch(mode=0o600)
        path.write_text(certificate + key)
        context.load_cert_chain(path)
