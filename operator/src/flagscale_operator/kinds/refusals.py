"""What a refused child means for its owner."""

from flagscale_operator.errors import ApiError


def explain_refusal(
    error: ApiError, *, kind: str, child: str, owner: str
) -> tuple[str | None, str]:
    """Condition reason and message for a refused child, or None for what is worth retrying.

    `owner` is the word for whose child it is: `job`, `service`.
    """
    if error.conflict:
        return "Conflict", (
            f"a {kind} {child} exists that is not ours; delete it or give this {owner} another "
            f"name; this {owner} then goes on by itself"
        )
    if error.status == 403:
        return "Forbidden", (
            f"the operator may not {error.verb} {error.resource}: {error.message}; "
            "install its RBAC, or lift the quota or policy"
        )
    if error.status in (400, 422):
        return "ApplyRejected", f"the API server refused the {kind} {child}: {error.message}"
    return None, ""
