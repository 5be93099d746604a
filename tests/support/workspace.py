"""A namespace with Pod Security `restricted`, a claim with the corpus, and TrainJobs in it."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from support.demo.target import SAMPLES, Target

Status = dict[str, Any]
POLL_S = 0.5
CLAIM = "data"


def restricted_pod(name: str, image: str, command: list[str]) -> dict[str, Any]:
    """A restricted pod with the claim at /data."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "command": command,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }


@dataclass(frozen=True)
class Workspace:
    """Where the tests of one module work."""

    target: Target
    namespace: str
    images: dict[str, str]

    def create(self) -> None:
        """Make the namespace, the claim and a pod with a shell to the claim."""
        self.delete(wait=True)
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": self.namespace,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        self.target.kubectl("apply", "-f", "-", text=json.dumps(namespace))
        self.apply(claim)
        copy = ["python3", "/usr/share/flagscale/copy_corpus.py", "/data/corpus.txt"]
        self.apply(restricted_pod("copy", self.images["corpus"], copy))
        self.kubectl("wait", "pod/copy", "--for=jsonpath={.status.phase}=Succeeded",
                     "--timeout=120s")  # fmt: skip
        self.open_files()

    def open_files(self) -> None:
        """A pod with a shell to the claim."""
        stay = ["python3", "-c", "import signal; signal.pause()"]
        self.apply(restricted_pod("files", self.images["corpus"], stay))
        self.kubectl("wait", "pod/files", "--for=condition=Ready", "--timeout=120s")

    def delete(self, *, wait: bool) -> None:
        """Remove what has pods, then the namespace, which takes seconds more to be gone."""
        # Apart: a namespace looks again only after half of the pods' grace.
        kinds = "inferenceservices,trainjobs"
        self.kubectl("delete", kinds, "--all", "--cascade=foreground", "--timeout=120s")
        gone = ("delete", "namespace", self.namespace, "--ignore-not-found")
        self.target.kubectl(*gone, f"--wait={str(wait).lower()}")

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        """kubectl in this namespace; its output."""
        done = self.target.kubectl("-n", self.namespace, *arguments, text=text, check=check)
        return done.stdout + ("" if check else done.stderr)

    def apply(self, manifest: dict[str, Any]) -> None:
        """`kubectl apply`."""
        self.kubectl("apply", "-f", "-", text=json.dumps(manifest))

    def python(self, code: str, *arguments: str) -> str:
        """Run Python beside the claim; its output."""
        return self.kubectl("exec", "files", "--", "python3", "-c", code, *arguments)

    def write_file(self, path: str, content: bytes) -> None:
        """Put a file on the claim."""
        code = "import pathlib,sys; p=pathlib.Path(sys.argv[1]); p.parent.mkdir(exist_ok=True); "
        # A line, not all until the end: the end of an empty input may get lost on the way.
        code += "p.write_bytes(bytes.fromhex(sys.stdin.readline()))"
        command = ("exec", "-i", "files", "--", "python3", "-c", code, path)
        self.kubectl(*command, text=f"{content.hex()}\n")

    def submit(self, name: str, **spec: Any) -> None:
        """Create a TrainJob."""
        body = {"replicas": 1, "volumes": {"data": {"claimName": CLAIM, "mountPath": "/data"}}}
        self.apply(
            {
                "apiVersion": "flagscale.dev/v1alpha1",
                "kind": "TrainJob",
                "metadata": {"name": name},
                "spec": {**body, **spec},
            }
        )

    def script(self, code: str, **spec: Any) -> dict[str, Any]:
        """A spec that runs Python code in the trainer's image under torchrun."""
        command = ["python3", "-c", code]
        return {"script": {"image": self.images["trainer"], "command": command}, **spec}

    def status(self, name: str) -> Status:
        """Status of a TrainJob."""
        status: Status = self.target.get("trainjob", name, "-n", self.namespace).get("status", {})
        return status

    def wait(self, name: str, until: Callable[[Status], bool], *, timeout_s: float = 240) -> Status:
        """Poll a TrainJob until its status satisfies; AssertionError with the status if never."""
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.status(name)
            if until(status):
                return status
            if time.monotonic() > deadline:
                pods = self.kubectl("get", "pods", "-o", "wide")
                msg = f"{name}: not reached in {timeout_s} s: {json.dumps(status)}\n{pods}"
                raise AssertionError(msg)
            time.sleep(POLL_S)

    def wait_phase(self, name: str, *phases: str, timeout_s: float = 240) -> Status:
        """Until the job is in one of these phases."""
        return self.wait(name, lambda s: s.get("phase") in phases, timeout_s=timeout_s)

    def wait_step(self, name: str, step: int, *, attempt: int = 1) -> Status:
        """Until an attempt has reported this step."""

        def reached(status: Status) -> bool:
            assert status.get("phase") != "Failed", status
            last = (status.get("attempts") or [{}])[-1]
            return last.get("number") == attempt and (last.get("lastStep") or 0) >= step

        return self.wait(name, reached)


def tiny_trainer(output: str, /, *, steps: int = 120, **changes: Any) -> dict[str, Any]:
    """A trainer that needs seconds, not minutes."""
    schedule = {
        "steps": steps,
        "globalBatchSize": 8,
        "microBatchSize": 4,
        "warmupSteps": 10,
        "evalInterval": 40,
        "logInterval": 2,
    }
    base = {
        "model": {
            "hiddenSize": 192,
            "intermediateSize": 512,
            "layers": 4,
            "attentionHeads": 4,
            "keyValueHeads": 2,
        },
        "tokenizer": {"vocabSize": 512},
        "data": {"path": "/data/corpus.txt", "sequenceLength": 256},
        "schedule": schedule,
        "checkpoint": {"intervalSteps": 20},
        "output": {"path": output},
    }
    return {"trainer": {**base, **changes}, "env": [{"name": "OMP_NUM_THREADS", "value": "1"}]}


__all__ = ["SAMPLES", "Workspace", "tiny_trainer"]
