"""Refusals that both stores answer with, as errors: one text for each."""

from flagscale_workloads.agent.collaboration.errors import (
    ChannelFullError,
    ClaimHeldError,
    ConflictError,
    LeaseEndedError,
    LimitReachedError,
    NameTakenError,
    NotSubscribedError,
    StaleClaimError,
)


def name_taken(name: str, left_ms: int) -> NameTakenError:
    """Somebody lives under this name."""
    return NameTakenError(
        f"agent {name}: another process is registered, its lease ends in {left_ms / 1000:.1f} s; "
        "wait, use another name, or register with take_over"
    )


def lease_ended(name: str, session: int) -> LeaseEndedError:
    """A process that may no longer speak for an agent."""
    return LeaseEndedError(
        f"agent {name}: session {session} has ended; register again, and give up what was claimed"
    )


def claim_held(resource: str, holder: str, left_ms: int) -> ClaimHeldError:
    """Somebody else has it."""
    return ClaimHeldError(
        f"claim {resource}: held by {holder} for at least {left_ms / 1000:.1f} s more; "
        "wait for it or do something else"
    )


def stale_claim(key: str, resource: str, token: int, newer: int) -> StaleClaimError:
    """A writer that does not know that it lost its claim."""
    why = f"token {newer} is newer" if newer else "nobody holds it"
    return StaleClaimError(
        f"environment {key}: the claim on {resource} has ended, got token {token}, {why}; "
        "claim it again and read the entry first"
    )


def claim_needed(key: str, token: int) -> StaleClaimError:
    """A write without a claim over one made under a claim."""
    return StaleClaimError(
        f"environment {key}: was written under a claim (token {token}), got none; "
        "claim what guards it and pass the claim"
    )


def conflict(key: str, expected: int, version: int) -> ConflictError:
    """Somebody else was faster."""
    return ConflictError(
        f"environment {key}: version {version} is the current one, got {expected}; "
        "read it again and decide anew",
        version,
    )


def channel_full(channel: str, length: int, group: str) -> ChannelFullError:
    """A channel of bounded length that a group holds up."""
    return ChannelFullError(
        f"channel {channel}: full with {length} messages, group {group} has not acknowledged the "
        "oldest; let it catch up, unsubscribe it, or send later"
    )


def not_subscribed(channel: str, group: str) -> NotSubscribedError:
    """A group that nobody made."""
    return NotSubscribedError(
        f"channel {channel}: has no group {group}; subscribe before you receive"
    )


def limit_reached(what: str, count: int) -> LimitReachedError:
    """No room for one more."""
    return LimitReachedError(
        f"namespace: full, got {count} {what}; remove some, or raise the limit for all clients"
    )
