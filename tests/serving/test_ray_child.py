"""What a Ray Serve replica keeps in its pod: a real serving process, watched and ended."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from flagscale_workloads.ray_serve import stop as stopping
from flagscale_workloads.ray_serve.child import (
    FAILURE_MARK,
    ServingExitedError,
    ServingProcess,
    alive,
    child_environment,
    end,
    healthy,
    recorded_pid,
)


class Pod:
    """The files of a pod, and the port of its door."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.config, self.pid, self.log = (folder / n for n in ("serve.json", "pid", "log"))
        self.door = f"http://127.0.0.1:{self.port}/health"

    async def start(self, **engine: Any) -> ServingProcess:
        config = {
            "model": {"name": "sim", "path": "/tmp"},
            "engine": {"name": "simulator", **engine},
            "gateway": {"port": self.port, "drainTimeoutSeconds": 1},
        }
        self.config.write_text(json.dumps(config))
        return await ServingProcess.start(
            self.config, environ=os.environ, pid_file=self.pid, log=self.log
        )


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


async def test_a_replica_is_ready_once_its_door_is_open_and_ends_its_process(pod: Pod) -> None:
    serving = await pod.start()
    await serving.await_ready(pod.door)
    await serving.check()

    assert healthy(pod.door)
    assert recorded_pid(pod.pid) == serving.process.pid
    assert b"ready at" in pod.log.read_bytes()

    await end(serving.process.pid, grace_s=30)
    await serving.process.wait()

    assert recorded_pid(pod.pid) is None
    assert not healthy(pod.door)


async def test_an_engine_that_can_not_start_tells_its_code_and_last_words(pod: Pod) -> None:
    serving = await pod.start(extraArgs={"nonsense": 1})
    with pytest.raises(ServingExitedError) as caught:
        await serving.await_ready(pod.door)

    told = json.loads(str(caught.value).removeprefix(FAILURE_MARK))
    assert told["exitCode"] == 1
    assert "serve: engine.extraArgs.nonsense: no option" in told["message"]


async def test_a_process_that_dies_later_makes_the_replica_unhealthy(pod: Pod) -> None:
    serving = await pod.start()
    await serving.await_ready(pod.door)
    (engine,) = psutil.Process(serving.process.pid).children()
    serving.process.kill()
    await serving.process.wait()
    await asyncio.wait_for(asyncio.to_thread(psutil.wait_procs, [engine]), 30)

    assert not engine.is_running()

    with pytest.raises(ServingExitedError, match="137"):
        await serving.check()


def test_the_process_ends_with_the_replica_that_started_it(pod: Pod) -> None:
    code = (
        "import asyncio, json, os, pathlib, sys\n"
        "from flagscale_workloads.ray_serve.child import ServingProcess\n"
        "async def main():\n"
        "    config, pid, log, door = sys.argv[1:]\n"
        "    paths = map(pathlib.Path, (pid, log))\n"
        "    serving = await ServingProcess.start(pathlib.Path(config), environ=os.environ,\n"
        "        pid_file=next(paths), log=next(paths))\n"
        "    await serving.await_ready(door)\n"
        "asyncio.run(main())\n"
    )
    config = {
        "model": {"name": "sim", "path": "/tmp"},
        "engine": {"name": "simulator"},
        "gateway": {"port": pod.port, "drainTimeoutSeconds": 1},
    }
    pod.config.write_text(json.dumps(config))
    files = [str(p) for p in (pod.config, pod.pid, pod.log)]
    subprocess.run([sys.executable, "-c", code, *files, pod.door], check=True, timeout=60)
    pid = int(pod.pid.read_text())

    async def gone() -> None:
        while alive(pid):  # noqa: ASYNC110 - no child of ours
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(gone(), 30))


async def test_a_pod_that_ends_drains_and_its_replica_stays_healthy(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stopping_file = tmp_path / "stopping"
    monkeypatch.setattr(stopping, "STOPPING_FILE", stopping_file)
    monkeypatch.setattr(stopping, "recorded_pid", lambda: recorded_pid(pod.pid))
    serving = await pod.start()
    await serving.await_ready(pod.door)

    await stopping.stop(0.1)

    assert stopping_file.exists()
    assert await serving.process.wait() == 0


def test_an_engine_is_not_held_to_the_one_core_that_ray_gives_its_actors() -> None:
    environ = {"OMP_NUM_THREADS": "1", "PATH": "/bin"}
    assert child_environment(environ) == {"PATH": "/bin"}
