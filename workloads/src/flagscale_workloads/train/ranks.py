"""This process among all of a run: device, threads, and what the ranks tell each other."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import torch
import torch.distributed as dist

from flagscale_workloads.train.errors import TrainError

T = TypeVar("T")
Communication = Literal["auto", "gloo", "nccl"]
CPU: Final = torch.device("cpu")

# The others wait this long for rank 0 to tokenise; a peer that died is noticed at once.
TIMEOUT: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Ranks:
    """One process among `size`."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Rank 0 writes, reports and prepares for all."""
        return self.rank == 0

    def agree(self, action: Callable[[], T]) -> T:
        """Do something on rank 0; every rank waits, and gets its result or its TrainError."""
        if self.size == 1:
            return action()
        box: list[Any] = [None, None]
        if self.first:
            try:
                box = [action(), None]
            except TrainError as error:
                box = [None, (error.cause, error.message)]
        dist.broadcast_object_list(box, src=0, device=self.device)
        if box[1] is not None:
            raise TrainError(*box[1])
        result: T = box[0]
        return result

    def any_of(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether any rank has it set."""
        if self.size == 1:
            return list(flags)
        tensor = torch.tensor([int(flag) for flag in flags], dtype=torch.int32, device=self.device)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return [bool(flag) for flag in tensor.tolist()]

    def sum_of(self, values: torch.Tensor) -> torch.Tensor:
        """Element-wise sum over the ranks."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, on every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


def join(communication: Communication, *, environ: Mapping[str, str] = os.environ) -> Ranks:
    """Join the group that torchrun describes; a single process needs none."""
    rank, size = int(environ.get("RANK", "0")), int(environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    if communication == "nccl" and not cuda:
        msg = "spec.trainer.communication: nccl needs GPUs, got a node without; use auto or gloo"
        raise TrainError("InvalidSpec", msg)
    device = CPU
    if cuda:
        device = torch.device("cuda", int(environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    torch.set_num_threads(threads(environ))
    if size > 1:
        chosen = communication if communication != "auto" else "nccl" if cuda else "gloo"
        dist.init_process_group(chosen, timeout=TIMEOUT)
    return Ranks(rank, size, device)


def leave() -> None:
    """Close the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def threads(environ: Mapping[str, str]) -> int:
    """Threads of this process: OMP_NUM_THREADS, else its share of the container's CPUs."""
    given = environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return max(1, available_cpus() // int(environ.get("LOCAL_WORLD_SIZE", "1")))


def available_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs of this container: its affinity, cut by its quota (cgroup v2 or v1)."""
    allowed = len(os.sched_getaffinity(0))
    for read in (_quota_v2, _quota_v1):
        try:
            quota = read(cgroup)
        except (OSError, ValueError):
            continue
        return max(1, min(allowed, int(quota))) if quota else allowed
    return allowed


def _quota_v2(cgroup: Path) -> float | None:
    limit, period = (cgroup / "cpu.max").read_text().split()
    return None if limit == "max" else int(limit) / int(period)


def _quota_v1(cgroup: Path) -> float | None:
    limit = int((cgroup / "cpu/cpu.cfs_quota_us").read_text())
    return None if limit < 0 else limit / int((cgroup / "cpu/cpu.cfs_period_us").read_text())
