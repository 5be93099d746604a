import asyncio
from pathlib import Path

import pytest

from flagscale_operator.errors import ApiError
from flagscale_operator.kube.kinds import TOKEN_REVIEW, TRAIN_JOB
from flagscale_runner.local.folders import Folders
from flagscale_runner.local.objects import FolderKube

BODY = {"metadata": {"name": "j", "namespace": "n"}, "spec": {"replicas": 1}}


@pytest.fixture
def kube(tmp_path: Path) -> FolderKube:
    return FolderKube(Folders(tmp_path))


def test_the_generation_counts_changes_of_the_spec_only(kube: FolderKube) -> None:
    made = kube.add(TRAIN_JOB, BODY)
    told = kube.put_status(TRAIN_JOB, {**BODY, "status": {"phase": "Running"}})
    changed = kube.put(TRAIN_JOB, {**BODY, "spec": {"replicas": 2}})

    assert [b["metadata"]["generation"] for b in (made, told, changed)] == [1, 1, 2]
    assert changed["status"] == {"phase": "Running"}
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]


def test_a_status_for_an_older_version_is_a_conflict(kube: FolderKube) -> None:
    made = kube.add(TRAIN_JOB, BODY)
    kube.put(TRAIN_JOB, {**BODY, "spec": {"replicas": 2}})
    with pytest.raises(ApiError, match="409 Conflict"):
        kube.put_status(TRAIN_JOB, {**made, "status": {}})


def test_scaling_is_fenced_by_the_version(kube: FolderKube) -> None:
    version = kube.add(TRAIN_JOB, BODY)["metadata"]["resourceVersion"]
    asyncio.run(kube.scale(TRAIN_JOB, "n", "j", 3, version=version))

    assert (kube.find(TRAIN_JOB, "n", "j") or {})["spec"] == {"replicas": 3}
    with pytest.raises(ApiError, match="409 Conflict"):
        asyncio.run(kube.scale(TRAIN_JOB, "n", "j", 4, version=version))


def test_a_second_of_the_same_name_is_refused(kube: FolderKube) -> None:
    kube.add(TRAIN_JOB, BODY)
    with pytest.raises(ApiError, match="409 AlreadyExists"):
        kube.add(TRAIN_JOB, BODY)


def test_another_uid_is_not_removed(kube: FolderKube) -> None:
    kube.add(TRAIN_JOB, BODY)
    assert not kube.remove(TRAIN_JOB, "n", "j", uid="other")
    assert kube.remove(TRAIN_JOB, "n", "j")
    assert not kube.remove(TRAIN_JOB, "n", "j")


def test_every_change_is_seen_by_the_version(kube: FolderKube) -> None:
    versions = [kube.version()]
    kube.add(TRAIN_JOB, BODY)
    versions.append(kube.version())
    kube.remove(TRAIN_JOB, "n", "j")
    versions.append(kube.version())
    assert versions == sorted(set(versions))


def test_a_token_is_good_for_its_audience_only(kube: FolderKube) -> None:
    pod = {"metadata": {"name": "p", "namespace": "n", "uid": "u"}}
    token = kube.issue_token(pod, "mine")

    def review(token: str, audience: str) -> bool:
        spec = {"token": token, "audiences": [audience]}
        answer = asyncio.run(kube.create(TOKEN_REVIEW, {"spec": spec}))
        return bool(answer["status"]["authenticated"])

    assert review(token, "mine")
    assert not review(token, "another's")
    assert not review("guessed", "mine")
