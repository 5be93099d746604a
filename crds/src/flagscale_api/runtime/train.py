"""The file that a training pod reads: `FLAGSCALE_TRAIN_CONFIG` names it."""

from pydantic import Field

from flagscale_api.meta import ApiModel
from flagscale_api.v1alpha1.trainer import TrainerSpec


class TrainRunConfig(ApiModel):
    """What one attempt trains, and which attempt of which job it is."""

    trainer: TrainerSpec = Field(description="The run, as in the TrainJob.")
    namespace: str = Field(description="Namespace of the TrainJob.")
    name: str = Field(description="Name of the TrainJob.")
    uid: str = Field(description="UID of the TrainJob.")
    attempt: int = Field(ge=1, description="Number of the attempt; newer ones fence older ones.")
