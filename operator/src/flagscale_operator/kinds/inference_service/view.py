"""The words that decisions about an InferenceService are written in."""

from dataclasses import dataclass
from typing import Any

from flagscale_api.v1alpha1.engine import EngineName
from flagscale_api.v1alpha1.engine_choice import chosen_engine
from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec
from flagscale_api.v1alpha1.inference_service_status import InferenceServiceStatus
from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.kinds.spec import parse_spec, read_status


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A valid InferenceService as the API server has it."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: InferenceServiceSpec
    status: InferenceServiceStatus

    @property
    def served_name(self) -> str:
        """The name that clients ask for."""
        return self.spec.model.name or self.name

    @property
    def engine(self) -> EngineName:
        """The engine that is wanted, named or chosen; what was chosen before is kept if it can."""
        return chosen_engine(self.spec, self.status.engine)


def parse_inference_service(body: dict[str, Any]) -> ServiceView:
    """An InferenceService as the API server has it; raises InvalidSpecError."""
    metadata = body["metadata"]
    spec = parse_spec(InferenceServiceSpec, body)
    status = read_status(InferenceServiceStatus, body)
    if status.runtime not in (None, spec.effective_runtime):
        raise InvalidSpecError(
            f"spec.runtime: can't be changed, got {spec.effective_runtime} where {status.runtime} "
            "serves; set it back, or make a service of another name"
        )
    return ServiceView(
        namespace=metadata.get("namespace", "default"),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 1),
        spec=spec,
        status=status,
    )
