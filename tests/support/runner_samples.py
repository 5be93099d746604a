"""What every runner has to make of the samples: one table, whichever runner it is.

The samples are taken as they are, but for what names things of somebody else (images, nodes,
claims) and for the size of what is trained.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from flagscale_runner.base import WITHOUT_PODS, Manifest, Runner, Target, phase_of
from flagscale_runner.cli.options import Where
from flagscale_runner.explain.explain import explained
from support.demo.target import SAMPLES
from support.runner_conformance import FINISHED, Outcome, progress_of, trained

PATIENCE_S: Final = 120.0
_FOREIGN: Final = ("image", "podTemplate", "queueName")
TINY: Final = trained("")["trainer"]
SIZED: Final = {**{part: TINY[part] for part in ("model", "tokenizer", "data", "schedule")},
                "output": {"path": "/data/tiny-llama", "gguf": "q8_0"}}  # fmt: skip
READY: Final = Outcome("Ready", ("Available", "Ready"), "Serving", ())
NO_GPU: Final = Outcome("Failed", (), "Unschedulable", (), explained="NoGpu")
NO_GPU_YET: Final = Outcome("Starting", (), "Unschedulable", (), explained="NoGpu")
NO_TOKEN: Final = Outcome("Failed", (), "ModelUnauthorized", (), explained="ExpiredCredentials")
NO_HUB: Final = Outcome("Failed", (), "ModelSourceUnreachable", (), explained="ModelNotFound")
NO_ENGINE: Final = Outcome("Failed", (), "ConfigError", (), explained="EngineArguments")


@dataclass(frozen=True)
class Sample:
    name: str
    wanted: Outcome
    changes: dict[str, Any] = field(default_factory=dict)
    """Top-level fields of the spec, None to leave one out."""
    noted: str = ""
    """What the local runner alone says of it."""


TOOL: Final = Outcome("Ready", ("Accepted", "Indexed", "Reachable", "Ready"), "Ready", ())
NO_HOST: Final = Outcome("Failed", ("Accepted", "Indexed"), "DoesNotResolve", (),
                         explained="ToolUnreachable")  # fmt: skip
NO_SERVER: Final = Outcome("Failed", (), "DoesNotResolve", (), explained="ToolUnreachable")
_PASSING: Final = ("NotProbed", "NotIndexed")

TRAINED: Final = Sample(
    "trainjob-minimal",
    Outcome("Succeeded", ("Ready", "Succeeded"), "Succeeded", (), progress=FINISHED),
    {"trainer": SIZED},
)
MODEL: Final = {"volume": {"claimName": "data", "path": "tiny-llama/model"}}
TABLE: Final = (
    Sample("inferenceservice-simulator", READY),
    Sample("inferenceservice-gguf", READY, {"engine": {
        "name": "llamacpp", "device": "cpu", "quantization": "q8_0", "contextLength": 64,
        "extraArgs": {"n_threads": 1}}}),
    Sample("inferenceservice-autoscaled", READY, {"model": MODEL},
           "spec.autoscaling: stays at 1 here, whatever the load"),
    Sample("inferenceservice-minimal", READY),
    Sample("inferenceservice-full", NO_GPU, {"runtime": "pods", "upgradeDeadlineSeconds": None}),
    Sample("inferenceservice-huggingface", NO_TOKEN, {"runtime": "pods"}),
    Sample("inferenceservice-https", NO_HUB),
    Sample("inferenceservice-s3", NO_TOKEN, {"runtime": "pods"}),
    Sample("trainjob-full", NO_GPU_YET),
    Sample("trainjob-script", NO_GPU_YET),
    Sample("agenttool-minimal", TOOL),
    Sample("agenttool-full", NO_HOST, {"approvedSchemaDigest": None}),
    Sample("agenttoolsource-minimal", NO_SERVER),
    Sample("agenttoolsource-full", NO_SERVER, {"auth": None}),
)  # fmt: skip
HERE: Final = (
    Sample("inferenceservice-vllm", NO_ENGINE),
    Sample("inferenceservice-sglang", NO_ENGINE),
)
"""On this machine alone, where their engines are not: tests/e2e serves the same from images."""


def first_document(name: str) -> Manifest:
    """Of a sample, as it stands there."""
    body: Manifest = next(yaml.safe_load_all((SAMPLES / f"{name}.yaml").read_text()))
    return body


def document(sample: Sample, image: str, namespace: str) -> Manifest:
    """The sample for one cluster, or none."""
    body = first_document(sample.name)
    spec = {k: v for k, v in body["spec"].items() if k not in _FOREIGN} | sample.changes
    if "script" in spec:
        spec["script"] = {**spec["script"], "image": image}
    kept = {key: _on_our_claim(value) for key, value in spec.items() if value is not None}
    metadata = {"name": body["metadata"]["name"], "namespace": namespace}
    return {**body, "metadata": metadata, "spec": kept}


def _on_our_claim(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "data" if k == "claimName" else _on_our_claim(v) for k, v in value.items()}
    return value


def begun(runner: Runner, image: str, namespace: str, samples: Sequence[Sample]) -> None:
    """All of them started, once the model that they share is trained."""
    job = runner.submit(document(TRAINED, image, namespace))
    runner.wait(job, lambda _: None)
    for sample in samples:
        runner.submit(document(sample, image, namespace))


def seen_of(
    runner: Runner, sample: Sample, namespace: str, where: Where
) -> tuple[Outcome, Manifest]:
    """What becomes of a sample, and the resource."""
    body = document(sample, "", namespace)
    target = Target(body["kind"], namespace, body["metadata"]["name"])
    return _seen(runner, target, where, sample.wanted.reason)


def _seen(runner: Runner, target: Target, where: Where, reason: str) -> tuple[Outcome, Manifest]:
    """What a user sees once the Ready condition has a reason, or the patience is at its end."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        body = runner.status(target) or {}
        found = {c["type"]: c for c in (body.get("status") or {}).get("conditions") or ()}
        known = found.get("Ready", {}).get("reason") == reason
        passing = target.kind in WITHOUT_PODS and any(
            c["reason"] in _PASSING for c in found.values()
        )
        if (known and not passing) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    told = explained(body, runner.surroundings(target), where=where)
    outcome = Outcome(
        phase=phase_of(body),
        true=tuple(sorted(
            t for t, c in found.items() if c["status"] == "True" and t != "Simplified"
        )),
        reason=found["Ready"]["reason"],
        causes=(),
        explained=told.cause,
        progress=progress_of(body),
    )  # fmt: skip
    return outcome, body
