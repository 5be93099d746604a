"""`make install`: both charts, with the images of this checkout."""

import json

from support.demo.target import ROOT, Target

INSTALLED = ("operator", "trainer", "serving", "llamacpp", "sglang", "matcher", "valkey")
"""Roles of the images that the charts name."""
RELEASE_NAMESPACE = "flagscale-system"
RESTRICTED = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {
        "name": RELEASE_NAMESPACE,
        "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
    },
}


def split_reference(reference: str) -> tuple[str, str]:
    """Repository and tag of an image."""
    repository, _, tag = reference.rpartition(":")
    return repository, tag


def install_charts(target: Target, images: dict[str, str], *extra: str) -> None:
    """Install or upgrade; returns when the operator is ready."""
    target.kubectl("apply", "-f", "-", text=json.dumps(RESTRICTED))
    crds = str(ROOT / "charts" / "flagscale-crds")
    target.helm(
        "upgrade", "--install", "flagscale-crds", crds, "--namespace", RELEASE_NAMESPACE,
        "--take-ownership",
    )  # fmt: skip
    repository, tag = split_reference(images["operator"])
    values = {
        "image.repository": repository,
        "image.tag": tag,
        "image.pullPolicy": "IfNotPresent",
        "trainer.image": images["trainer"],
        "serving.image": images["serving"],
        "serving.llamacppImage": images["llamacpp"],
        "serving.sglangImage": images["sglang"],
        "matcher.image": images["matcher"],
        "redis.image": images["valkey"],
    }
    settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    chart = str(ROOT / "charts" / "flagscale")
    target.helm(
        "upgrade", "--install", "flagscale", chart, "--namespace", RELEASE_NAMESPACE,
        "--wait", "--timeout", "90s", *settings, *extra,
    )  # fmt: skip
