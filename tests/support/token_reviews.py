"""An API server's answers to TokenReviews, without an API server."""

from typing import Final

from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import KubeKind
from support.fake_kube import FakeKube

GOOD: Final = "good"


class Reviewer(FakeKube):
    """The token `good` is that of pod p of namespace ns."""

    async def create(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        if kind.kind != "TokenReview":
            return await super().create(kind, manifest)
        extra = {"pod-name": ["p"], "pod-uid": ["u1"]}
        user = {
            "username": "system:serviceaccount:ns:default",
            "extra": {f"authentication.kubernetes.io/{k}": v for k, v in extra.items()},
        }
        good = manifest["spec"]["token"] == GOOD
        audiences = manifest["spec"]["audiences"]
        return {"status": {"authenticated": good, "audiences": audiences, "user": user}}
