import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from flagscale_operator.errors import ApiError
from flagscale_operator.kube.kinds import PROGRESS_SECRET_NAME, SECRET
from flagscale_operator.progress.tls import Certificates, ensure_certificates
from support.fake_kube import FakeKube

T0 = datetime(2026, 1, 1, tzinfo=UTC)


async def ensured(kube: FakeKube, *, now: datetime = T0, pod_ip: str = "10.0.0.1") -> Certificates:
    return await ensure_certificates(kube, namespace="sys", pod_ip=pod_ip, now=now)


def shaken(certificates: Certificates, name: str, *, now: datetime) -> x509.Certificate:
    """The server's certificate as a strictly verifying client of `name` receives it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates.load_into(server, now=now)
    client = ssl.create_default_context(cadata=certificates.ca_pem)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for end in (*ends, *ends):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    der = ends[0].getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


async def test_pods_can_verify_the_service_and_the_pod() -> None:
    certificates = await ensured(FakeKube(), now=datetime.now(UTC))

    for name in ("flagscale-progress.sys.svc", "flagscale-progress", "10.0.0.1"):
        shaken(certificates, name, now=datetime.now(UTC))


async def test_a_restart_keeps_the_ca_for_another_address() -> None:
    kube = FakeKube()

    first = await ensured(kube)
    second = await ensured(kube, pod_ip="10.0.0.2")

    assert first.ca_pem == second.ca_pem
    assert "10.0.0.2" in second.names
    assert kube.verbs(SECRET) == ["get", "create", "get"]


async def test_of_two_replicas_the_slower_takes_the_ca_of_the_faster() -> None:
    kube = FakeKube()
    other = FakeKube()
    theirs = await ensured(other)
    secret = other.peek(SECRET, "sys", PROGRESS_SECRET_NAME)
    assert secret is not None

    class Race(FakeKube):
        async def create(self, kind, manifest):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            self.put(SECRET, secret)
            return await super().create(kind, manifest)

    kube = Race()
    assert (await ensured(kube)).ca_pem == theirs.ca_pem


async def test_a_damaged_secret_is_replaced() -> None:
    data = {"ca.crt": b64encode(b"nonsense").decode(), "ca.key": "%"}
    metadata = {"namespace": "sys", "name": PROGRESS_SECRET_NAME}
    kube = FakeKube((SECRET, {"metadata": metadata, "data": data}))

    certificates = await ensured(kube)

    assert (await ensured(kube)).ca_pem == certificates.ca_pem
    assert kube.verbs(SECRET) == ["get", "replace", "get"]


async def test_a_ca_near_its_end_is_replaced() -> None:
    kube = FakeKube()
    old = await ensured(kube)

    assert (await ensured(kube, now=T0 + timedelta(days=3500))).ca_pem == old.ca_pem
    assert (await ensured(kube, now=T0 + timedelta(days=3600))).ca_pem != old.ca_pem


async def test_a_refusal_other_than_a_race_is_raised() -> None:
    kube = FakeKube()
    kube.refuse("create", ApiError(403, "Forbidden", "no", "create", "secrets"))

    with pytest.raises(ApiError, match="403 Forbidden"):
        await ensured(kube)


async def test_a_server_certificate_is_renewed_30_days_before_its_end() -> None:
    now = datetime.now(UTC)
    certificates = await ensured(FakeKube(), now=now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    assert certificates.load_into(context, now=now) == now + timedelta(days=60)
    first = shaken(certificates, "flagscale-progress", now=now)
    second = shaken(certificates, "flagscale-progress", now=now)
    assert first.serial_number != second.serial_number


def test_a_key_is_not_printed() -> None:
    assert "hush" not in repr(Certificates(ca_pem="", ca_key_pem="hush", names=()))
