"""What a runtime wants of the cluster for one service, whichever runtime it is."""

from dataclasses import dataclass
from typing import Any

from flagscale_api.v1alpha1.inference_service_status import LoadFailure, RolloutStatus
from flagscale_operator.kinds.conditions import Verdict
from flagscale_operator.kinds.inference_service.facts import ChildKey
from flagscale_operator.kinds.inference_service.why_not_ready import Trouble
from flagscale_operator.kube.kinds import KubeKind

Writes = tuple[tuple[KubeKind, dict[str, Any]], ...]


@dataclass(frozen=True, slots=True)
class Desired:
    """Objects to have, and what the runtime knows of how far they are."""

    children: Writes
    """In the order in which they are applied."""
    revision: str
    engines_settled: bool
    """Whether all engine pods are of the revision and ready, and no other is left."""
    trouble: Trouble
    """Why not, if not."""
    current_replicas: int = 0
    """Engine pods that there are, of whichever revision."""
    final: bool = False
    """The trouble stays although what there is serves: the spec itself came to nothing."""
    failure: LoadFailure | None = None
    """How an engine has ended, if the pods themselves do not say."""
    verdicts: tuple[Verdict, ...] = ()
    rollout: RolloutStatus | None = None
    replace: Writes = ()
    """Objects that children have made, changed."""
    report: Writes = ()
    """Status of children, changed; once the children are as wanted."""
    look_again_s: float | None = None
    record: tuple[KubeKind, dict[str, Any]] | None = None
    """To be kept once everything serves; what it replaces are `outdated`."""
    outdated: frozenset[ChildKey] = frozenset()
