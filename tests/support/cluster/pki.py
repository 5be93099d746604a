"""Makes the certificates of one cluster: an own authority and what it signs."""

import datetime as dt
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS = 3650


@dataclass(frozen=True)
class Identity:
    """One certificate to make: who it names and which addresses it serves."""

    file: str
    common_name: str
    organization: str = ""
    names: tuple[str, ...] = ()
    """DNS names and IP addresses."""


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
AUTHORITY = "flagscale-cluster-ca"


def ensure(folder: Path, identities: Iterable[Identity], authority_name: str = AUTHORITY) -> None:
    """Make all keys unless the folder already holds exactly these identities."""
    stamp = folder / "identities.json"
    wanted = json.dumps([asdict(identity) for identity in identities], indent=1)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority_key, authority = _authority(authority_name)
    _write(folder, "ca", authority_key, authority)
    for identity in (Identity(**entry) for entry in json.loads(wanted)):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder, identity.file, key, _signed(identity, key, authority_key, authority))
    _write_service_account_key(folder)
    stamp.write_text(wanted)


def _authority(common_name: str) -> tuple[PrivateKey, x509.Certificate]:
    # RSA, since the training-operator reads no other authority key.
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = _name(common_name, "")
    alternative = x509.SubjectAlternativeName([x509.DNSName(common_name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(alternative, critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def _signed(
    identity: Identity,
    key: ec.EllipticCurvePrivateKey,
    authority_key: PrivateKey,
    authority: x509.Certificate,
) -> x509.Certificate:
    subject = _name(identity.common_name, identity.organization)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = _builder(subject, authority.subject, key).add_extension(
        x509.ExtendedKeyUsage(usages), critical=False
    )
    if identity.names:
        names = x509.SubjectAlternativeName([_general_name(name) for name in identity.names])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=VALID_DAYS))
    )


def _name(common_name: str, organization: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write(folder: Path, file: str, key: PrivateKey, certificate: x509.Certificate) -> None:
    _write_key(folder / f"{file}.key", key)
    (folder / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: PrivateKey) -> None:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)


def _write_service_account_key(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    _write_key(folder / "sa.key", key)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "sa.pub").write_bytes(public)
