"""python -m support.demo install|run"""

import argparse
import json
import sys
import time
from typing import Any

import yaml

from support.demo.follow import follow
from support.demo.install import INSTALLED, install_charts
from support.demo.target import SAMPLES, Target, build_images, find_target

NAMESPACE = "flagscale-demo"
JOB = "tiny-llama"
STARTED = time.monotonic()


def say(text: str) -> None:
    """A line with the time since the start."""
    seconds = int(time.monotonic() - STARTED)
    print(f"{seconds // 60:02d}:{seconds % 60:02d}  {text}", flush=True)


def sample(name: str, images: dict[str, str]) -> str:
    """A sample's YAML with the images of this checkout."""
    text = (SAMPLES / "demo" / name).read_text()
    documents: list[dict[str, Any]] = [d for d in yaml.safe_load_all(text) if d]
    for document in documents:
        for container in _containers(document):
            role = str(container["image"]).partition(":")[0].removeprefix("flagscale-")
            container["image"] = images.get(role, container["image"])
    return yaml.safe_dump_all(documents)


def _containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    if document["kind"] != "Job":
        return []
    containers: list[dict[str, Any]] = document["spec"]["template"]["spec"]["containers"]
    return containers


def load_corpus(target: Target, images: dict[str, str]) -> None:
    """The namespace, the claim, and the text on it."""
    for name in ("namespace.yaml", "claim.yaml", "corpus-job.yaml"):
        target.kubectl("apply", "-f", "-", text=sample(name, images))
    say("the corpus is copied to the claim demo-data")
    wait = ("wait", "job/load-corpus", "-n", NAMESPACE, "--for=condition=Complete")
    target.kubectl(*wait, "--timeout=180s")


def show_result(target: Target, images: dict[str, str], status: dict[str, Any]) -> int:
    """What came out, with a text that the model wrote."""
    target.kubectl("get", "trainjobs", "-n", NAMESPACE, quiet=False)
    if status.get("phase") != "Succeeded":
        print(json.dumps(status.get("failure", status), indent=1))
        return 1
    target.kubectl("delete", "job", "sample-text", "-n", NAMESPACE, "--ignore-not-found")
    target.kubectl("apply", "-f", "-", text=sample("sample-text-job.yaml", images))
    wait = ("wait", "job/sample-text", "-n", NAMESPACE, "--for=condition=Complete")
    target.kubectl(*wait, "--timeout=180s")
    logs = target.kubectl("logs", "job/sample-text", "-n", NAMESPACE).stdout
    told = json.loads(logs.strip().splitlines()[-1])
    print(f"first loss   {told['firstLoss']:.3f}\nlast loss    {told['lastLoss']:.3f}")
    print(f"tokens/s     {status['progress'].get('tokensPerSecond')}")
    print(f"artifact     {status['artifact']['uri']}\ndigest       {status['artifact']['digest']}")
    print(f"the model says\n    {told['text']}")
    return 0


def run(target: Target, images: dict[str, str]) -> int:
    """Apply the sample and follow it."""
    load_corpus(target, images)
    target.kubectl("delete", "trainjob", JOB, "-n", NAMESPACE, "--ignore-not-found", "--wait")
    target.kubectl("delete", "job", "clear-output", "-n", NAMESPACE, "--ignore-not-found")
    target.kubectl("apply", "-f", "-", text=sample("clear-output-job.yaml", images))
    wait = ("wait", "job/clear-output", "-n", NAMESPACE, "--for=condition=Complete")
    target.kubectl(*wait, "--timeout=120s")
    say("kubectl apply -f crds/samples/demo/trainjob.yaml")
    target.kubectl("apply", "-f", str(SAMPLES / "demo" / "trainjob.yaml"))
    status = follow(target, NAMESPACE, JOB, say=say)
    return show_result(target, images, status)


def main() -> int:
    """Exit code 1 when the job did not succeed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("install", "run"))
    verb = parser.parse_args().verb
    target = find_target()
    roles = INSTALLED if verb == "install" else ("trainer", "corpus")
    try:
        images = build_images(*roles)
        if verb == "install":
            install_charts(target, images)
            say("installed: helm release flagscale in namespace flagscale-system")
            return 0
        return run(target, images)
    except (RuntimeError, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
