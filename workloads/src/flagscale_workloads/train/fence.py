"""Only the newest attempt may publish: an older one may still run on a node that was cut off."""

from dataclasses import dataclass
from pathlib import Path

from flagscale_workloads.train import durable
from flagscale_workloads.train.errors import TrainError, writing


@dataclass(frozen=True, slots=True)
class Fence:
    """`<output>/attempt`: the number of the newest attempt, then the UID of its job."""

    output: Path
    attempt: int
    uid: str

    def claim(self) -> None:
        """Make this attempt the newest; TrainError when a newer one of this job was here."""
        with writing(self.output):
            self.output.mkdir(parents=True, exist_ok=True)
            number, uid = self._read()
            if uid == self.uid:
                self._refuse(number)
            durable.write_text(self.output / "attempt", f"{self.attempt}\n{self.uid}\n")

    def check(self) -> None:
        """TrainError when a newer attempt, or another job, has taken the output."""
        with writing(self.output):
            number, uid = self._read()
        if uid not in {"", self.uid}:
            self._raise(f"TrainJob {uid}")
        self._refuse(number)

    def _read(self) -> tuple[int, str]:
        try:
            words = (self.output / "attempt").read_text().split()
        except FileNotFoundError:
            return 0, ""
        return (int(words[0]) if words and words[0].isdigit() else 0), "".join(words[1:2])

    def _refuse(self, number: int) -> None:
        if number > self.attempt:
            self._raise(f"attempt {number}")

    def _raise(self, other: str) -> None:
        msg = (
            f"spec.trainer.output.path: {other} has taken over {self.output}, this is attempt "
            f"{self.attempt}; nothing to do, or give each TrainJob a path of its own"
        )
        raise TrainError("Fenced", msg)
