"""An attempt as a Kubeflow PyTorchJob (kubeflow.org/v1).

Worker-only and not elastic, on purpose. With a Master, the training-operator gives workers an init
container from a public registry that Pod Security `restricted` refuses, and calls the job
succeeded as soon as the Master ends, even when a worker never started. Without one, every worker
has to succeed; the rank of a pod comes from its index label, and torchrun's static rendezvous
meets at worker 0. `restartPolicy: Never`: the first failure of any pod fails the job, and the gang
restart is ours. TTL, deadline and back-off limit are never set, since v1 keeps them unreliably.
"""

from typing import Any

from flagscale_api import keys
from flagscale_operator.kinds.ownership import owner_reference
from flagscale_operator.kinds.train_job.names import child_name
from flagscale_operator.kinds.train_job.plan import TrainJobView
from flagscale_operator.kinds.train_job.pod import RenderContext, pod_template
from flagscale_operator.kube.kinds import TRAIN_JOB

Manifest = dict[str, Any]


def render_attempt(
    job: TrainJobView, context: RenderContext, *, attempt: int, suspend: bool
) -> Manifest:
    """The PyTorchJob of one attempt, the same for the same input."""
    name = child_name(job.name, attempt)
    labels = child_labels(job, attempt)
    run_policy: Manifest = {"cleanPodPolicy": "Running"}
    if not job.spec.queue_name:
        run_policy["suspend"] = suspend  # under Kueue this field is Kueue's
    elif attempt == 1:
        run_policy["suspend"] = True
    spec: Manifest = {
        "nprocPerNode": str(job.spec.processes_per_replica),
        "runPolicy": run_policy,
        "pytorchReplicaSpecs": {
            "Worker": {
                "replicas": job.spec.replicas,
                "restartPolicy": "Never",
                "template": pod_template(job, context, attempt=attempt, labels=labels, child=name),
            }
        },
    }
    queue = {keys.QUEUE_LABEL: job.spec.queue_name} if job.spec.queue_name else {}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {
            "name": name,
            "namespace": job.namespace,
            "labels": {**labels, **queue},
            "ownerReferences": [owner_reference(TRAIN_JOB, job.name, job.uid)],
        },
        "spec": spec,
    }


def child_labels(job: TrainJobView, attempt: int) -> dict[str, str]:
    """Labels of the child and of its pods: watches select by the first."""
    return {
        keys.MANAGED_BY_LABEL: keys.MANAGED_BY,
        keys.NAME_LABEL: "trainjob",
        keys.INSTANCE_LABEL: job.name,
        keys.COMPONENT_LABEL: "trainer",
        keys.TRAIN_JOB_LABEL: job.name,
        keys.OWNER_UID_LABEL: job.uid,
        keys.ATTEMPT_LABEL: str(attempt),
    }
