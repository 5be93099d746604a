"""What rendering needs to know of the installation, out of the settings."""

from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.settings import Settings


def training_context(settings: Settings, ca_pem: str) -> RenderContext:
    """For TrainJobs; `ca_pem` is the progress server's CA."""
    return RenderContext(
        trainer_image=settings.trainer_image,
        progress_url=settings.effective_progress_url,
        progress_ca=ca_pem,
        image_pull_policy=settings.image_pull_policy,
    )


def serving_context(settings: Settings, ca_pem: str) -> ServingContext:
    """For InferenceServices; `ca_pem` is the progress server's CA."""
    return ServingContext(
        image=settings.serving_image,
        engine_images={"llamacpp": settings.llamacpp_image, "sglang": settings.sglang_image},
        image_pull_policy=settings.serving_pull_policy,
        progress_url=settings.effective_progress_url,
        progress_ca=ca_pem,
    )
