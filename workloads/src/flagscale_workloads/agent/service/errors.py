"""What a caller is told when something is refused or has failed."""

from flagscale_workloads.serve.http.messages import error_body


class ServiceError(Exception):
    """One sentence and a code. It is told as it is, so it holds no secret and no tool's header."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        """Of the HTTP answer."""
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.retryable = retryable
        """Whether the same call of a tool may succeed at once; only idempotent ones are retried."""

    def body(self) -> bytes:
        """In OpenAI's error shape, as the gateway's are."""
        return error_body(self.status, self.code, self.message)

    def headers(self) -> dict[str, str]:
        """What goes beside it."""
        found = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        return found | ({"www-authenticate": "Bearer"} if self.status == 401 else {})


def not_found(namespace: str, name: str) -> ServiceError:
    """The same whether it is not there or not to be seen: existence is not told."""
    message = f"tool {namespace}/{name}: not found, or not visible to you; see /v1/tools:match"
    return ServiceError(404, "not_found", message)
