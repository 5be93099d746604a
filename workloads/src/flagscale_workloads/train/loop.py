"""A run from its configuration to the exported model."""

import json
import logging
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from flagscale_api.runtime.train import TrainRunConfig
from flagscale_workloads.train import metrics
from flagscale_workloads.train.checkpoint import Saved
from flagscale_workloads.train.data import TOKENIZER, Corpus, open_corpus, prepare
from flagscale_workloads.train.errors import TERMINATION_LOG
from flagscale_workloads.train.export import Artifact, check_export, export_model
from flagscale_workloads.train.fence import Fence
from flagscale_workloads.train.order import epoch_of
from flagscale_workloads.train.pace import Pace, duration_text
from flagscale_workloads.train.preparation import Preparation
from flagscale_workloads.train.progress import Report, Reporter
from flagscale_workloads.train.ranks import Ranks
from flagscale_workloads.train.schedule import accumulation, learning_rate
from flagscale_workloads.train.signals import TERMINATED, Termination
from flagscale_workloads.train.trainer import FlagScaleTrainer

_log = logging.getLogger(__name__)


class Run:
    """The loop of one rank, and what it tells to people and to the operator."""

    def __init__(
        self, config: TrainRunConfig, *, ranks: Ranks, reporter: Reporter, termination: Termination
    ) -> None:
        self.config = config
        self.spec = config.trainer
        self.ranks = ranks
        self.reporter = reporter
        self.termination = termination
        self.saved: dict[str, Any] | None = None
        self.resumed: int | None = None

    def prepare(self) -> Corpus:
        """The tokens: rank 0 makes them while the others wait."""
        accumulation(self.spec.schedule, ranks=self.ranks.size)
        preparation = Preparation(self.reporter, steps=self.spec.schedule.steps)
        if self.ranks.first:
            preparation.begin()
            _log.info("reading %s", self.spec.data.path)
        fence = Fence(Path(self.spec.output.path), self.config.attempt, self.config.uid)
        self.ranks.agree(fence.claim)
        folder = self.ranks.agree(partial(prepare, self.spec, on_piece=preparation.advance))
        corpus = open_corpus(self.spec, folder=folder)
        check_export(self.spec.output, tokenizer=folder / TOKENIZER, vocabulary=corpus.vocabulary)
        return corpus

    def train(self, environ: Mapping[str, str]) -> int:
        """All steps and the export; the exit code."""
        self.trainer = FlagScaleTrainer(self.config, corpus=self.prepare(), ranks=self.ranks)
        self._start()
        while self.trainer.step < self.spec.schedule.steps:
            self._step()
            if self._save_when_due():
                _log.info("stopped at step %d, after a checkpoint", self.trainer.step)
                return TERMINATED
        artifact = self.ranks.agree(self._export)
        if self.ranks.first:
            self._finish(artifact, environ)
        return 0

    def _start(self) -> None:
        saved = self.trainer.load_model()
        if saved:
            self._note(saved)
            self.resumed = saved.step
        schedule = self.spec.schedule
        self.pace = Pace(schedule.global_batch_size * self.spec.data.sequence_length)
        self.rows: list[metrics.Row] = []
        if self.ranks.first:
            path = self.trainer.output / "metrics.jsonl"
            self.log = metrics.MetricsLog(path, step=self.trainer.step)
            self.rows = self.log.rows_kept
            self._introduce(saved)
        self._report(urgent=True)
        self.termination.defer()

    def _introduce(self, saved: Saved | None) -> None:
        corpus, trainer = self.trainer.corpus, self.trainer
        _log.info(
            "%s parameters, vocabulary %d, %d + %d sequences of %d tokens, %d x %d x %d per step",
            f"{sum(p.numel() for p in trainer.model.parameters()):,}",
            corpus.vocabulary, corpus.training, corpus.validation, corpus.length,
            self.ranks.size, trainer.accumulation, self.spec.schedule.micro_batch_size,
        )  # fmt: skip
        if saved:
            _log.info("resumed at step %d from %s", saved.step, saved.path)

    def _step(self) -> None:
        trainer, schedule = self.trainer, self.spec.schedule
        loss = trainer.train_step()
        step = trainer.step
        row: metrics.Row = {"step": step, "loss": _finite(loss)}
        if step % schedule.eval_interval == 0 or step == schedule.steps:
            row["validation_loss"] = _finite(trainer.validate())
        self.pace.step()
        row["learning_rate"] = learning_rate(step, schedule=schedule)
        row["tokens_per_second"] = self.pace.tokens_per_second
        row["epoch"] = epoch_of(
            step, batch=schedule.global_batch_size, count=trainer.corpus.training
        )
        if self.ranks.first:
            self._tell(row)

    def _tell(self, row: metrics.Row) -> None:
        self.log.append(row)
        # Only the first, the latest and what was validated are asked for later.
        if len(self.rows) > 1 and self.rows[-1].get("validation_loss") is None:
            self.rows.pop()
        self.rows.append(row)
        step, steps = row["step"], self.spec.schedule.steps
        if step % self.spec.schedule.log_interval and step != steps:
            return
        loss, speed = row["loss"], row["tokens_per_second"]
        line = f"step {step}/{steps}  loss {math.nan if loss is None else loss:.3f}"
        if row.get("validation_loss") is not None:
            line += f"  validation {row['validation_loss']:.3f}"
        eta = duration_text(self.pace.remaining_s(steps - step))
        _log.info("%s  lr %.1e  %s tok/s  eta %s", line, row["learning_rate"], f"{speed:,.0f}", eta)
        self._report()

    def _save_when_due(self) -> bool:
        """Save at this step if any rank wants to; whether to stop."""
        stop, asked = self.ranks.any_of(
            [self.termination.requested, self.reporter.checkpoint_requested]
        )
        last = self.trainer.step >= self.spec.schedule.steps
        due = self.trainer.step % self.spec.checkpoint.interval_steps == 0
        if due or stop or asked or last:
            if self.ranks.first:
                self.log.sync()
            self._note(self.trainer.save_checkpoint())
            if asked:
                self.reporter.answered()
            self._report(urgent=True)
        return stop and not last

    def _note(self, saved: Saved) -> None:
        self.saved = {"step": saved.step, "path": str(saved.path), "time": saved.about["time"]}

    def _report(self, *, urgent: bool = False, done: bool = False) -> None:
        if not self.ranks.first:
            return
        step, steps = self.trainer.step, self.spec.schedule.steps
        row = self.rows[-1] if self.rows else {}
        names = ("loss", "tokens_per_second", "learning_rate", "epoch")
        values = {
            "step": step,
            "total_steps": steps,
            "validation_loss": metrics.summary(self.rows)["validationLoss"],
            "resumed_step": self.resumed,
            **{name: row.get(name) for name in names},
        }
        # 100 is for a run whose model is there.
        percent = 100 if done else min(99, 100 * step // steps)
        remaining = self.pace.remaining_s(max(0, steps - step))
        self.reporter.post(Report(percent, remaining, values, self.saved), urgent=urgent)

    def _export(self) -> Artifact:
        self._report(urgent=True)
        return export_model(
            self.trainer.model,
            output=self.spec.output,
            tokenizer=self.trainer.corpus.folder / TOKENIZER,
            target=self.trainer.output / "model",
            before=self.trainer.fence.check,
        )

    def _finish(self, artifact: Artifact, environ: Mapping[str, str]) -> None:
        self._report(urgent=True, done=True)
        self.log.close()
        result = {"artifact": artifact.as_json(), "step": self.trainer.step}
        result.update(metrics.summary(self.rows))
        _log.info("model %s  %s  %d bytes", artifact.path, artifact.digest, artifact.size_bytes)
        path = environ.get(TERMINATION_LOG)
        if path:
            Path(path).write_text(json.dumps({"result": result}))


def _finite(value: float | None) -> float | None:
    """JSON knows no NaN."""
    return value if value is not None and math.isfinite(value) else None
