"""Our connection's credentials and TLS, for Kopf."""

import dataclasses
import ssl
from datetime import datetime, timedelta

import kopf

from flagscale_operator.kube.connection import Connection

TOKEN_REFRESH_S = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Login(kopf.ConnectionInfo):
    """Credentials whose TLS is made by `Connection`, so both clients trust the same servers."""

    context: ssl.SSLContext

    def as_ssl_context(self) -> ssl.SSLContext:
        """The context that was given."""
        return self.context


def kopf_connection(connection: Connection, *, now: datetime) -> Login:
    """The same credentials for Kopf; it asks again before a rotating token ends."""
    rotates = connection.token_file is not None
    return Login(
        server=connection.server,
        context=connection.ssl_context(),
        token=connection.bearer(),
        expiration=now + timedelta(seconds=TOKEN_REFRESH_S) if rotates else None,
    )
