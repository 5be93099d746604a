import base64
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.kube import connection
from flagscale_operator.kube.connection import load_connection, parse_kubeconfig


def config(cluster: dict[str, Any] | None = None, **user: Any) -> dict[str, Any]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://k:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }


def test_embedded_credentials_are_decoded(tmp_path: Path) -> None:
    data = base64.b64encode(b"PEM").decode()
    found = parse_kubeconfig(
        config(
            {"certificate-authority-data": data},
            **{"client-certificate-data": data, "client-key-data": data},
        ),
        folder=tmp_path,
    )

    assert found.server == "https://k:6443"
    assert (found.ca, found.certificate, found.key) == ("PEM",) * 3


def test_files_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("CA")
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "config").write_text(
        yaml.safe_dump(config({"certificate-authority": "ca.crt"}, tokenFile="token"))
    )

    found = load_connection({"KUBECONFIG": str(tmp_path / "config")})

    assert (found.ca, found.bearer()) == ("CA", "secret")


def test_certificates_without_key_identifiers_are_taken_as_client_go_does() -> None:
    strict = ssl.create_default_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT

    context = connection.Connection("https://k:6443").ssl_context()

    assert context.verify_flags == strict.verify_flags & ~ssl.VERIFY_X509_STRICT
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_a_pod_uses_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.crt").write_text("CA")
    (tmp_path / "token").write_text("one")
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)

    found = load_connection({"KUBERNETES_SERVICE_HOST": "fd00::1"})
    assert (found.server, found.bearer()) == ("https://[fd00::1]:443", "one")
    (tmp_path / "token").write_text("two")

    assert found.bearer() == "two"


def test_verification_is_skipped_only_when_asked_for(tmp_path: Path) -> None:
    strict = parse_kubeconfig(config(), folder=tmp_path)
    lax = parse_kubeconfig(config({"insecure-skip-tls-verify": True}), folder=tmp_path)

    assert strict.ssl_context().verify_mode is ssl.CERT_REQUIRED
    assert lax.ssl_context().verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({**config(), "current-context": "x"}, "current-context does not exist, got 'x'"),
        ({**config(), "users": []}, "the context's user does not exist, got 'u'"),
        ({**config(), "clusters": None}, "the context's cluster does not exist, got 'k'"),
        (config(exec={"command": "aws"}), "plugins are not supported"),
    ],
)
def test_what_is_wrong_is_said(broken: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSpecError, match=message):
        parse_kubeconfig(broken, folder=tmp_path)


def test_neither_file_nor_pod_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpecError, match="no such file"):
        load_connection({"KUBECONFIG": str(tmp_path / "none")})
