"""The shell: what reaches the API server, and what a refusal becomes."""

from typing import Any

from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.errors import ApiError
from flagscale_operator.kinds.inference_service.reconciler import (
    BLOCKED_RETRY_S,
    InferenceServiceReconciler,
)
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import (
    DEPLOYMENT,
    INFERENCE_SERVICE,
    RAY_SERVICE,
    SERVICE,
    KubeKind,
)
from flagscale_operator.progress.load_board import LoadBoard
from support.fake_events import Events
from support.fake_kube import FakeKube
from support.inference_services import CONTEXT, SPEC
from support.spec_schema import merged
from support.train_jobs import at

KEY = Key("InferenceService", "ns", "svc")
BODY: dict[str, Any] = {
    "apiVersion": "flagscale.dev/v1alpha1",
    "kind": "InferenceService",
    "metadata": {"namespace": "ns", "name": "svc"},
    "spec": SPEC,
}


class World:
    def __init__(self, kube: FakeKube) -> None:
        self.kube, self.view, self.events = kube, ClusterView(), Events()
        self.now_s = 0.0
        self.load = LoadBoard(on_change=lambda *_: None, clock=lambda: self.now_s)
        self.reconciler = InferenceServiceReconciler(
            kube=kube,
            view=self.view,
            load=self.load,
            events=self.events,
            context=CONTEXT,
            clock=lambda: at(self.now_s),
        )

    def write(self, **change: Any) -> None:
        """As a user: apply, and the watch brings it."""
        self.view.keep(INFERENCE_SERVICE, self.kube.put(INFERENCE_SERVICE, merged(BODY, change)))

    async def run(self) -> float | None:
        self.kube.calls.clear()
        return await self.reconciler.reconcile(KEY)

    def ready(self) -> tuple[str, str]:
        stored = self.kube.peek(INFERENCE_SERVICE, "ns", "svc") or {}
        conditions = stored["status"]["conditions"]
        return next((c["reason"], c["message"]) for c in conditions if c["type"] == "Ready")


async def test_the_second_run_asks_for_nothing() -> None:
    world = World(FakeKube())
    world.write()

    await world.run()
    first = world.kube.verbs()
    await world.run()

    assert first == [*["get", "apply"] * 5, "apply_status"]
    assert world.kube.verbs() == []


async def test_a_chosen_engine_is_told_once_and_with_its_reason() -> None:
    world = World(FakeKube())
    world.write(spec={"engine": {"name": "auto"}})

    await world.run()
    await world.run()

    status = (world.kube.peek(INFERENCE_SERVICE, "ns", "svc") or {})["status"]
    assert status["engine"] == "vllm"
    assert world.events.posted == [("Normal", "EngineChosen")]
    assert world.events.words[0].startswith(
        "spec.engine.name auto stands for vllm: it is the first"
    )


async def test_a_service_that_is_blocked_tells_its_engine() -> None:
    kube = FakeKube()
    kube.refuse("apply", ApiError(403, "Forbidden", "exceeded quota", "patch", "services"))
    world = World(kube)
    world.write(spec={"engine": {"name": "auto"}})

    await world.run()
    await world.run()

    assert (world.kube.peek(INFERENCE_SERVICE, "ns", "svc") or {})["status"]["engine"] == "vllm"
    assert world.events.posted == [("Warning", "Forbidden"), ("Normal", "EngineChosen")]


async def test_an_engine_that_is_named_is_no_news() -> None:
    world = World(FakeKube())
    world.write()

    await world.run()

    assert (world.kube.peek(INFERENCE_SERVICE, "ns", "svc") or {})["status"]["engine"]
    assert world.events.posted == []


async def test_a_damaged_field_of_status_is_written_anew_and_the_others_are_kept() -> None:
    world = World(FakeKube())
    world.write()
    await world.run()
    stored = world.kube.peek(INFERENCE_SERVICE, "ns", "svc") or {}
    failure = {"reason": "Killed", "message": "m", "exitCode": 137, "pod": "p"}
    model = {**stored["status"]["model"], "lastFailure": failure}
    damage = {"phase": "Sideways", "replicas": {"ready": "x"}, "model": model}
    damaged = {**stored, "status": {**stored["status"], **damage}}
    world.view.keep(INFERENCE_SERVICE, world.kube.put(INFERENCE_SERVICE, damaged))

    await world.run()

    status = (world.kube.peek(INFERENCE_SERVICE, "ns", "svc") or {})["status"]
    assert status["phase"] == "Pending"
    assert status["replicas"]["summary"] == "0/1"
    assert status["model"]["lastFailure"] == failure


async def test_what_an_admission_webhook_changes_is_not_applied_for_ever() -> None:
    class Mirroring(FakeKube):
        async def apply(self, kind: KubeKind, manifest: Manifest, *, force: bool) -> Manifest:
            applied = await super().apply(kind, manifest, force=force)
            if kind is DEPLOYMENT:
                spec = applied["spec"]["template"]["spec"]
                spec["containers"][0]["image"] = "mirror/image"
                applied = self.put(kind, applied)
            return applied

    world = World(Mirroring())
    world.write()

    await world.run()
    await world.run()

    assert world.kube.verbs() == []


async def test_an_object_of_an_earlier_service_of_the_same_name_is_foreign() -> None:
    kube = FakeKube()
    labels = {"flagscale.dev/inferenceservice": "svc", "flagscale.dev/owner-uid": "earlier"}
    old = {"metadata": {"namespace": "ns", "name": "svc", "labels": labels}, "spec": {}}
    world = World(kube)
    world.view.keep(SERVICE, kube.put(SERVICE, old))
    world.write()

    again = await world.run()

    assert again == BLOCKED_RETRY_S
    assert world.ready()[0] == "Conflict"
    assert "a Service svc exists that is not ours" in world.ready()[1]
    assert world.events.posted == [("Warning", "Conflict")]


async def test_a_refusal_is_told_and_tried_again() -> None:
    kube = FakeKube()
    kube.refuse("apply", ApiError(403, "Forbidden", "exceeded quota", "patch", "services"))
    world = World(kube)
    world.write()

    again = await world.run()
    told = world.ready()
    await world.run()

    assert again == BLOCKED_RETRY_S
    assert told[0] == "Forbidden"
    assert "exceeded quota" in told[1]
    assert world.ready()[0] == "Starting"


async def test_a_spec_that_only_the_model_refuses_is_told_and_not_tried_again() -> None:
    world = World(FakeKube())
    world.write(spec={"engine": {"extraArgs": {"a": {"not": "a scalar"}}}})

    assert await world.run() is None

    reason, message = world.ready()
    assert reason == "InvalidSpec"
    assert "spec.engine.extraArgs" in message


async def test_a_deleted_service_is_left_to_garbage_collection() -> None:
    world = World(FakeKube())
    world.write()
    await world.run()
    body = world.view.inference_services.get(("ns", "svc"))
    assert body is not None
    world.view.drop(INFERENCE_SERVICE, body)

    await world.run()

    assert world.kube.verbs() == []


async def test_a_cluster_without_kuberay_is_told_and_looked_at_again() -> None:
    class Without(FakeKube):
        async def get(self, kind: KubeKind, namespace: str | None, name: str) -> Manifest | None:
            if kind is RAY_SERVICE:
                raise ApiError(404, "NotFound", "no such kind", "get", kind.plural)
            return await super().get(kind, namespace, name)

    world = World(Without())
    world.write(spec={"runtime": "rayservice"})

    assert await world.run() == BLOCKED_RETRY_S
    assert world.ready()[0] == "DependencyMissing"
    assert "install the KubeRay operator" in world.ready()[1]


async def test_a_runtime_that_was_changed_behind_the_api_server_is_refused() -> None:
    world = World(FakeKube())
    world.write()
    await world.run()
    stored = world.kube.peek(INFERENCE_SERVICE, "ns", "svc")
    assert stored is not None
    changed = merged(stored, {"spec": {"runtime": "rayservice"}})
    world.view.keep(INFERENCE_SERVICE, world.kube.put(INFERENCE_SERVICE, changed))

    assert await world.run() is None
    assert world.ready()[0] == "InvalidSpec"
    assert "got rayservice where pods serves" in world.ready()[1]
