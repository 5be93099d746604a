"""Rules over more than one field of a TrainJob, each said in CEL and in Python."""

from collections import Counter
from typing import TYPE_CHECKING, Final

from flagscale_api.meta import CelRule

if TYPE_CHECKING:
    from flagscale_api.v1alpha1.train_job import TrainJobSpec

LAUNCHER_PREFIXES: Final = ("PET_", "KUBEFLOW_TRAINER_", "FLAGSCALE_")
LAUNCHER_NAMES: Final = (
    "MASTER_ADDR",
    "MASTER_PORT",
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "TORCHELASTIC_ERROR_FILE",
)
OWN_MOUNTS: Final = ("/tmp", "/dev/shm", "/etc/flagscale")  # noqa: S108 - mounts of the pods
VOLUME_NAME_LENGTH: Final = 52
IMMUTABLE_OPTIONAL: Final = ("trainer", "script", "image", "queueName")
IMMUTABLE: Final = (
    "replicas",
    "processesPerReplica",
    "resources",
    "env",
    "volumes",
    "podTemplate",
)


def _under(path: str, mount: str) -> bool:
    """Whether a path is a mount or lies below it: /database is not below /data."""
    return path == mount or path.startswith(f"{mount}/")


def _data_is_mounted(spec: "TrainJobSpec") -> bool:
    mounts = [v.mount_path for v in spec.volumes.values()]
    return not spec.trainer or any(_under(spec.trainer.data.path, m) for m in mounts)


def _output_is_writable(spec: "TrainJobSpec") -> bool:
    mounts = [v.mount_path for v in spec.volumes.values() if not v.read_only]
    return not spec.trainer or any(_under(spec.trainer.output.path, m) for m in mounts)


def _stays_below(path: str | None) -> bool:
    """Whether no part of a path leads upwards, out of its volume."""
    return ".." not in (path or "").split("/")


def _batch_divides(spec: "TrainJobSpec") -> bool:
    if not spec.trainer:
        return True
    schedule = spec.trainer.schedule
    return schedule.global_batch_size % (schedule.micro_batch_size * spec.world_size) == 0


def _launcher_names_are_free(spec: "TrainJobSpec") -> bool:
    return not any(
        e.name.startswith(LAUNCHER_PREFIXES) or e.name in LAUNCHER_NAMES for e in spec.env
    )


def _mounts_differ(spec: "TrainJobSpec") -> bool:
    mounts = [v.mount_path for v in spec.volumes.values()]
    return len(set(mounts)) == len(mounts) and not set(mounts) & set(OWN_MOUNTS)


def _in_cel(path: str, extra: str = "") -> str:
    mount = "self.volumes[v].mountPath"
    under = f"({path} == {mount} || {path}.startsWith({mount} + '/'))"
    return f"!has(self.trainer) || self.volumes.exists(v, {extra}{under})"


def _no_way_up(name: str) -> CelRule:
    """The rule for one path of the trainer; those of volumes are checked as text."""
    path = f"self.trainer.{name}.path"
    return CelRule(
        f"!has(self.trainer) || !{path}.matches('(^|/)[.][.](/|$)')",
        f"spec.trainer.{name}.path: must not contain '..'; name the place itself",
        f".trainer.{name}.path",
        holds=lambda spec: not spec.trainer or _stays_below(getattr(spec.trainer, name).path),
    )


def _immutable(name: str, *, optional: bool) -> CelRule:
    same = f"self.{name} == oldSelf.{name}"
    if optional:
        both = f"has(self.{name}) == has(oldSelf.{name})"
        same = f"{both} && (!has(self.{name}) || {same})"
    return CelRule(same, f"spec.{name}: is immutable; create a new TrainJob", f".{name}")


SPEC_RULES: Final = (
    CelRule(
        "has(self.trainer) != has(self.script)",
        "spec: exactly one of trainer and script is needed; set one of them",
        holds=lambda spec: (spec.trainer is None) != (spec.script is None),
    ),
    CelRule(
        "!has(self.image) || has(self.trainer)",
        "spec.image: only allowed with trainer; with script set spec.script.image",
        ".image",
        holds=lambda spec: not spec.image or bool(spec.trainer),
    ),
    CelRule(
        _in_cel("self.trainer.data.path"),
        "spec.trainer.data.path: must lie under the mountPath of one of spec.volumes",
        ".trainer.data.path",
        holds=_data_is_mounted,
    ),
    CelRule(
        _in_cel("self.trainer.output.path", "!self.volumes[v].readOnly && "),
        "spec.trainer.output.path: must lie under the mountPath of a writable spec.volumes",
        ".trainer.output.path",
        holds=_output_is_writable,
    ),
    _no_way_up("data"),
    _no_way_up("output"),
    CelRule(
        "!has(self.trainer) || self.trainer.schedule.globalBatchSize % "
        "(self.trainer.schedule.microBatchSize * self.replicas * self.processesPerReplica) == 0",
        "spec.trainer.schedule.globalBatchSize: must be a multiple of microBatchSize x "
        "replicas x processesPerReplica",
        ".trainer.schedule.globalBatchSize",
        holds=_batch_divides,
    ),
    CelRule(
        "!self.env.exists(e, "
        + " || ".join(f"e.name.startsWith('{p}')" for p in LAUNCHER_PREFIXES)
        + f" || e.name in {list(LAUNCHER_NAMES)})",
        f"spec.env: {', '.join([f'{p}*' for p in LAUNCHER_PREFIXES] + list(LAUNCHER_NAMES))} are "
        "set by the operator; remove them",
        ".env",
        holds=_launcher_names_are_free,
    ),
    CelRule(
        "self.env.all(e, has(e.value) != has(e.secretKeyRef))",
        "spec.env: each entry needs exactly one of value and secretKeyRef",
        ".env",
        holds=lambda spec: all((e.value is None) != (e.secret_key_ref is None) for e in spec.env),
    ),
    CelRule(
        # The API server knows this by the list's key already; the rule is for Python.
        "self.env.all(e, self.env.exists_one(f, f.name == e.name))",
        "spec.env: each name may occur once; remove the others",
        ".env",
        holds=lambda spec: max(Counter(e.name for e in spec.env).values(), default=1) == 1,
    ),
    CelRule(
        "self.volumes.all(v, v.matches('^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$'))",
        "spec.volumes: names must be DNS labels of at most 52 characters: lower-case letters, "
        "digits and '-'",
        ".volumes",
        holds=lambda spec: all(len(name) <= VOLUME_NAME_LENGTH for name in spec.volumes),
    ),
    CelRule(
        f"self.volumes.all(v, !(self.volumes[v].mountPath in {list(OWN_MOUNTS)}) && "
        "self.volumes.exists_one(w, self.volumes[w].mountPath == self.volumes[v].mountPath))",
        "spec.volumes: each mountPath may occur once, and /tmp, /dev/shm and /etc/flagscale are "
        "the operator's; choose another",
        ".volumes",
        holds=_mounts_differ,
    ),
)
IMMUTABLE_RULES: Final = (
    *(_immutable(name, optional=True) for name in IMMUTABLE_OPTIONAL),
    *(_immutable(name, optional=False) for name in IMMUTABLE),
)
