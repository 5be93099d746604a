"""How agents work together: presence, claims, messages, a shared environment, hand-off."""

from flagscale_workloads.agent.collaboration.a2a.outcome import HandOff, Outcome
from flagscale_workloads.agent.collaboration.collaborator import Collaborator
from flagscale_workloads.agent.collaboration.errors import (
    ChannelFullError,
    ClaimHeldError,
    CollaborationError,
    ConflictError,
    HandOffError,
    InvalidInputError,
    LeaseEndedError,
    LimitReachedError,
    NameTakenError,
    NotSubscribedError,
    StaleClaimError,
    StoreError,
)
from flagscale_workloads.agent.collaboration.limits import Limits
from flagscale_workloads.agent.collaboration.opening import open_store
from flagscale_workloads.agent.collaboration.values import (
    Agent,
    AgentInfo,
    Claim,
    Delivery,
    Entry,
    Json,
    Message,
    Session,
)

__all__ = [
    "Agent",
    "AgentInfo",
    "ChannelFullError",
    "Claim",
    "ClaimHeldError",
    "CollaborationError",
    "Collaborator",
    "ConflictError",
    "Delivery",
    "Entry",
    "HandOff",
    "HandOffError",
    "InvalidInputError",
    "Json",
    "LeaseEndedError",
    "LimitReachedError",
    "Limits",
    "Message",
    "NameTakenError",
    "NotSubscribedError",
    "Outcome",
    "Session",
    "StaleClaimError",
    "StoreError",
    "open_store",
]
