"""One rank of a training run: load, step, validate, save."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from flagscale_api.runtime.train import TrainRunConfig
from flagscale_workloads.train import checkpoint
from flagscale_workloads.train.data import TOKENIZER, Corpus
from flagscale_workloads.train.errors import TrainError
from flagscale_workloads.train.fence import Fence
from flagscale_workloads.train.model import build_model, build_optimizer
from flagscale_workloads.train.order import Indices, batch_of
from flagscale_workloads.train.progress import now_text
from flagscale_workloads.train.ranks import Ranks
from flagscale_workloads.train.schedule import accumulation, learning_rate
from flagscale_workloads.train.state import random_state, restore_random_state, seed_all
from flagscale_workloads.train.tokenizer import load_tokenizer

# Enough for a steady number; a share of a large corpus would take longer than training.
MOST_VALIDATED = 512


class FlagScaleTrainer:
    """State and steps of a run; every rank makes the same calls in the same order."""

    def __init__(self, config: TrainRunConfig, *, corpus: Corpus, ranks: Ranks) -> None:
        self.spec = config.trainer
        self.corpus = corpus
        self.ranks = ranks
        self.output = Path(self.spec.output.path)
        self.fence = Fence(self.output, config.attempt, config.uid)
        self.checkpoints = checkpoint.Checkpoints(
            self.output / "checkpoints", self.spec.checkpoint.keep
        )
        self.accumulation = accumulation(self.spec.schedule, ranks=ranks.size)
        self.step = 0

    def load_model(self) -> checkpoint.Saved | None:
        """Build model and optimizer, then continue from the newest readable checkpoint, if any."""
        seed_all(self.spec.schedule.seed)
        tokenizer = load_tokenizer(self.corpus.folder / TOKENIZER)
        ends = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id}
        model = build_model(self.spec, vocabulary=self.corpus.vocabulary, **ends)
        self.model = model.to(self.ranks.device)
        self.optimizer = build_optimizer(self.model, spec=self.spec)
        saved = self.ranks.agree(self._find_checkpoint)
        if saved is not None:
            self._resume(saved)
        self.parallel = DistributedDataParallel(self.model) if self.ranks.size > 1 else self.model
        return saved

    def _find_checkpoint(self) -> checkpoint.Saved | None:
        self.checkpoints.remove_leftovers()
        return self.checkpoints.newest()

    def _resume(self, saved: checkpoint.Saved) -> None:
        if saved.about.get("shape") != self._shape():
            msg = (
                f"spec.trainer.model: differs from the model of {saved.path}; "
                "restore the old values, or choose another spec.trainer.output.path"
            )
            raise TrainError("InvalidSpec", msg)
        state = checkpoint.load(saved, model=self.model, device=self.ranks.device)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = saved.step
        randoms = state["random"]
        if len(randoms) == self.ranks.size:
            restore_random_state(randoms[self.ranks.rank])
        else:
            seed_all(self.spec.schedule.seed + saved.step)

    def _shape(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to fit."""
        model = self.spec.model.model_dump(mode="json", by_alias=True)
        return {**model, "vocabulary": self.corpus.vocabulary}

    def train_step(self) -> float:
        """One optimizer step; the mean loss over the global batch."""
        schedule = self.spec.schedule
        rate = learning_rate(self.step + 1, schedule=schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.ranks.device)
        for number, rows in enumerate(self._micro_batches(), start=1):
            with self._syncing(last=number == self.accumulation):
                loss = self._loss(self.parallel, rows) / self.accumulation
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), schedule.gradient_clip)
        self.optimizer.step()
        self.step += 1
        return float(self.ranks.sum_of(total) / self.ranks.size)

    def _micro_batches(self) -> list[Indices]:
        """This rank's share of the next global batch: every `size`-th sequence."""
        schedule = self.spec.schedule
        numbers = batch_of(
            self.step + 1,
            seed=schedule.seed,
            batch=schedule.global_batch_size,
            count=self.corpus.training,
        )
        return np.split(numbers[self.ranks.rank :: self.ranks.size], self.accumulation)

    def _syncing(self, *, last: bool) -> AbstractContextManager[None]:
        # Gradients cross the network once per step, with the last micro batch.
        parallel = self.parallel
        alone = last or not isinstance(parallel, DistributedDataParallel)
        return nullcontext() if alone else parallel.no_sync()

    def _loss(self, model: Any, rows: Indices) -> torch.Tensor:  # noqa: ANN401
        tokens = torch.from_numpy(self.corpus.rows(rows)).to(self.ranks.device)
        bf16 = self.spec.precision == "bf16"
        with torch.autocast(self.ranks.device.type, dtype=torch.bfloat16, enabled=bf16):
            logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        return torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), tokens[:, 1:].flatten()
        )

    @torch.no_grad()
    def validate(self) -> float | None:
        """Mean loss over the validation sequences, split over the ranks; None without any."""
        count = min(self.corpus.validation, MOST_VALIDATED)
        if not count:
            return None
        self.model.eval()
        mine = np.arange(self.ranks.rank, count, self.ranks.size) + self.corpus.training
        size = self.spec.schedule.micro_batch_size
        total = torch.zeros((), device=self.ranks.device)
        for at in range(0, len(mine), size):
            part = mine[at : at + size]
            total += self._loss(self.model, part) * len(part)
        self.model.train()
        return float(self.ranks.sum_of(total) / count)

    def save_checkpoint(self) -> checkpoint.Saved:
        """Publish the state after this step: rank 0 writes, all wait."""
        randoms = self.ranks.gather(random_state())
        return self.ranks.agree(lambda: self._save(randoms))

    def _save(self, randoms: list[dict[str, Any]]) -> checkpoint.Saved:
        return self.checkpoints.save(
            self.step,
            model=self.model,
            state={"optimizer": self.optimizer.state_dict(), "random": randoms},
            about={"shape": self._shape(), "time": now_text()},
            before=self.fence.check,
        )
