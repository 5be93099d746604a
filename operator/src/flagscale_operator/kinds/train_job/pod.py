"""The pod of a TrainJob: hardened, told its rank, and told where to report.

No ConfigMap is made: the trainer's configuration and the progress server's CA travel as pod
annotations and are mounted as files by the downward API, so one object per attempt is enough and
a pod can never see the configuration of another attempt.
"""

from dataclasses import dataclass
from typing import Any, Final

from flagscale_api import keys
from flagscale_api.runtime.train import TrainRunConfig
from flagscale_api.v1alpha1.common import EnvVar, PodTemplate
from flagscale_api.v1alpha1.trainer import TrainerSpec
from flagscale_operator.kinds.pod_parts import (
    CONFIG_DIR,
    TERMINATION_LOG,
    compute_resources,
    container_security,
    placement,
    pod_security,
    tolerations,
)
from flagscale_operator.kinds.train_job.facts import CONTAINER
from flagscale_operator.kinds.train_job.plan import TrainJobView

Manifest = dict[str, Any]

CONFIG_PATH: Final = f"{CONFIG_DIR}/train.json"
RENDEZVOUS_PORT: Final = 23456
TOKEN_LIFETIME_S: Final = 3600


@dataclass(frozen=True, slots=True)
class RenderContext:
    """Facts of the installation that rendering needs."""

    trainer_image: str
    progress_url: str
    progress_ca: str
    image_pull_policy: str = "IfNotPresent"


def audience(namespace: str, name: str) -> str:
    """Audience of the token that a job's pods report with."""
    return f"{keys.GROUP}/trainjobs/{namespace}/{name}"


def status_url(base: str, namespace: str, name: str) -> str:
    """URL of Kubeflow Trainer's status protocol for one job."""
    return (
        f"{base}/apis/trainer.kubeflow.org/v1alpha1/namespaces/{namespace}/trainjobs/{name}/status"
    )


def pod_template(
    job: TrainJobView, context: RenderContext, *, attempt: int, labels: dict[str, str], child: str
) -> Manifest:
    """Template of every pod of the gang."""
    template = job.spec.pod_template
    annotations = {**template.annotations, keys.PROGRESS_CA_ANNOTATION: context.progress_ca}
    if job.spec.trainer:
        annotations[keys.TRAIN_CONFIG_ANNOTATION] = _train_config(job, job.spec.trainer, attempt)
    return {
        "metadata": {"labels": {**template.labels, **labels}, "annotations": annotations},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [_container(job, context, child)],
            "restartPolicy": "Never",
            "securityContext": pod_security(),
            "terminationGracePeriodSeconds": template.termination_grace_period_seconds,
            "volumes": _volumes(job),
            **_placement(template, queued=job.spec.queue_name is not None),
        },
    }


def _train_config(job: TrainJobView, trainer: TrainerSpec, attempt: int) -> str:
    config = TrainRunConfig(
        trainer=trainer,
        namespace=job.namespace,
        name=job.name,
        uid=job.uid,
        attempt=attempt,
    )
    return config.model_dump_json(by_alias=True, exclude_none=True)


def _container(job: TrainJobView, context: RenderContext, child: str) -> Manifest:
    spec = job.spec
    script = spec.script
    container: Manifest = {
        "name": CONTAINER,
        "image": script.image if script else spec.image or context.trainer_image,
        "imagePullPolicy": context.image_pull_policy,
        "command": _command(job),
        "env": [*_launcher_env(job, context, child), *map(_env, spec.env)],
        "ports": [{"name": "pytorchjob-port", "containerPort": RENDEZVOUS_PORT}],
        "resources": compute_resources(spec.resources),
        "securityContext": container_security(),
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(job),
    }
    if script and script.working_dir:
        container["workingDir"] = script.working_dir
    return container


def _command(job: TrainJobView) -> list[str]:
    """torchrun, the same for our trainer and for a user's program; PET_* variables configure it."""
    if job.spec.script:
        torchrun = ["python3", "-m", "torch.distributed.run", "--no-python"]
        return [*torchrun, *job.spec.script.command, *job.spec.script.args]
    return ["python3", "-m", "torch.distributed.run", "-m", "flagscale_workloads.train"]


def _launcher_env(job: TrainJobView, context: RenderContext, child: str) -> list[Manifest]:
    index = "metadata.labels['training.kubeflow.org/replica-index']"
    literal = {
        "PET_MASTER_ADDR": f"{child}-worker-0",
        "PET_MASTER_PORT": str(RENDEZVOUS_PORT),
        "PET_MAX_RESTARTS": "0",
        # Not TORCHELASTIC_ERROR_FILE: torchrun deletes that file before it writes it, and a
        # mounted file can't be deleted.
        "FLAGSCALE_TERMINATION_LOG": TERMINATION_LOG,
        "KUBEFLOW_TRAINER_SERVER_URL": status_url(context.progress_url, job.namespace, job.name),
        "KUBEFLOW_TRAINER_SERVER_CA_CERT": f"{CONFIG_DIR}/progress-ca.crt",
        "KUBEFLOW_TRAINER_SERVER_TOKEN": f"{CONFIG_DIR}/token",
        "HOME": "/tmp",  # noqa: S108 - an emptyDir of this pod
    }
    if job.spec.trainer:
        literal["FLAGSCALE_TRAIN_CONFIG"] = CONFIG_PATH
    return [
        {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": index}}},
        *({"name": name, "value": value} for name, value in literal.items()),
    ]


def _env(variable: EnvVar) -> Manifest:
    if variable.secret_key_ref:
        reference = variable.secret_key_ref
        source = {"secretKeyRef": {"name": reference.name, "key": reference.key}}
        return {"name": variable.name, "valueFrom": source}
    return {"name": variable.name, "value": variable.value or ""}


def _volumes(job: TrainJobView) -> list[Manifest]:
    files = [("progress-ca.crt", keys.PROGRESS_CA_ANNOTATION)]
    if job.spec.trainer:
        files.append(("train.json", keys.TRAIN_CONFIG_ANNOTATION))
    items = [
        {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}
        for path, annotation in files
    ]
    token = {
        "audience": audience(job.namespace, job.name),
        "expirationSeconds": TOKEN_LIFETIME_S,
        "path": "token",
    }
    claims = [
        {
            "name": f"claim-{name}",
            "persistentVolumeClaim": {"claimName": v.claim_name, "readOnly": v.read_only},
        }
        for name, v in sorted(job.spec.volumes.items())
    ]
    return [
        *claims,
        {
            "name": "flagscale",
            "projected": {
                "sources": [{"downwardAPI": {"items": items}}, {"serviceAccountToken": token}]
            },
        },
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]


def _mounts(job: TrainJobView) -> list[Manifest]:
    claims = [
        {"name": f"claim-{name}", "mountPath": v.mount_path, "readOnly": v.read_only}
        for name, v in sorted(job.spec.volumes.items())
    ]
    return [
        *claims,
        {"name": "flagscale", "mountPath": CONFIG_DIR, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
    ]


def _placement(template: PodTemplate, *, queued: bool) -> Manifest:
    placed = placement(template)
    # Kueue merges the flavor's selector and tolerations: atomic fields, so only one may own them.
    if template.node_selector:
        placed["nodeSelector"] = dict(template.node_selector)
    if not queued or template.tolerations:
        placed["tolerations"] = tolerations(template)
    return placed
