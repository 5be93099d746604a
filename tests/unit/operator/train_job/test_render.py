"""What a TrainJob becomes: golden pairs cr.yaml -> children.yaml, and invariants."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.train_job.backends.pytorchjob import render_attempt
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.render import RenderContexts, render_documents, run_render
from flagscale_operator.settings import Settings
from support.train_jobs import make_job

GOLDEN = Path(__file__).parents[3] / "golden" / "train_job"
CONTEXT = RenderContext(
    trainer_image="flagscale-trainer:test",
    progress_url="https://flagscale-progress.flagscale-system.svc:10443",
    progress_ca="CA PEM",
)


@pytest.mark.parametrize("case", sorted(p.name for p in GOLDEN.iterdir()))
def test_a_train_job_becomes_the_golden_children(case: str) -> None:
    document = yaml.safe_load((GOLDEN / case / "cr.yaml").read_text())

    rendered = render_documents([document], RenderContexts(CONTEXT, ServingContext("s")))

    assert rendered == list(yaml.safe_load_all((GOLDEN / case / "children.yaml").read_text()))


@pytest.mark.parametrize(
    "content",
    [
        b"just text",
        b"- a\n- b",
        b"kind: TrainJob",
        b"kind: TrainJob\nmetadata: null",
        b"\xff",
        b"{",
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_in_a_sentence(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(content)

    assert run_render(file, Settings()) == 1
    assert capsys.readouterr().err.startswith(f"{file}: ")


def pod_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]
    return spec


def test_rendering_twice_gives_the_same_bytes() -> None:
    first = render_attempt(make_job(), CONTEXT, attempt=1, suspend=False)

    assert render_attempt(make_job(), CONTEXT, attempt=1, suspend=False) == first


def test_pods_meet_pod_security_restricted() -> None:
    spec = pod_spec(render_attempt(make_job(), CONTEXT, attempt=1, suspend=False))
    (container,) = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["automountServiceAccountToken"] is False


def test_under_a_queue_suspend_is_not_ours_after_the_first_apply() -> None:
    job = make_job(queueName="gpus")

    first = render_attempt(job, CONTEXT, attempt=1, suspend=False)

    assert first["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert first["spec"]["runPolicy"]["suspend"] is True
    assert "nodeSelector" not in pod_spec(first)
    assert "tolerations" not in pod_spec(first)


def test_the_longest_allowed_name_leaves_room_for_the_pods() -> None:
    job = make_job()
    name = "j" * 45

    child = render_attempt(
        type(job)(job.namespace, name, job.uid, 1, job.created_at, job.spec, job.status),
        CONTEXT,
        attempt=99,
        suspend=False,
    )

    assert len(f"{child['metadata']['name']}-worker-511") <= 63
