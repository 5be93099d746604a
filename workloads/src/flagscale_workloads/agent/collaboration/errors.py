"""What goes wrong while agents work together, each with what to do about it."""


class CollaborationError(Exception):
    """Base of all below; its text is meant for a person."""


class InvalidInputError(CollaborationError, ValueError):
    """An argument that breaks a rule or a limit; nothing was done."""


class LimitReachedError(CollaborationError):
    """The namespace holds as many things of a kind as it may."""


class NameTakenError(CollaborationError):
    """Another process is registered under this name and its lease runs."""


class LeaseEndedError(CollaborationError):
    """The agent is no longer registered: its lease ended, or another process took its name."""


class ClaimHeldError(CollaborationError):
    """Another agent holds what was asked for."""


class StaleClaimError(CollaborationError):
    """A write under a claim that has ended or that a newer one has replaced."""


class ConflictError(CollaborationError):
    """The entry has another version than the one that was expected."""

    def __init__(self, text: str, version: int) -> None:
        super().__init__(text)
        self.version = version
        """The entry's version now; 0 when there is none."""


class ChannelFullError(CollaborationError):
    """A channel of bounded length whose oldest message some group still needs."""


class NotSubscribedError(CollaborationError):
    """A group that does not exist on this channel."""


class StoreError(CollaborationError):
    """The store does not answer, refuses us, or would not keep what it acknowledges."""


class HandOffError(CollaborationError):
    """An agent could not be handed a task over A2A."""


class ForbiddenAgentError(HandOffError):
    """An agent at an address that must not be called."""
