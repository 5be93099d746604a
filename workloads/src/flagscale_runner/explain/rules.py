"""Known problems: how each is recognised, and what to do about it. The first that fits counts."""

import re
from dataclasses import dataclass
from typing import Final

from flagscale_runner.explain.facts import Facts

OPERATOR_PATIENCE_S: Final = 20.0
_FLAGS: Final = re.IGNORECASE | re.DOTALL


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of trouble. `reasons` are of the Ready condition or causes of a failure."""

    name: str
    step: str
    reasons: tuple[str, ...] = ()
    words: str = ""
    """Regular expression over the texts."""
    here: str = ""
    """What to do on this machine, where that differs from a cluster."""

    def evidence(self, facts: Facts) -> str | None:
        """The text that gives it away, or None when it is not this."""
        if self.words:
            for text in facts.texts:
                if re.search(self.words, text, _FLAGS):
                    return text
        if facts.cause in self.reasons or facts.reason in self.reasons:
            return facts.message or facts.reason
        return None


PROBLEMS: Final = (
    Problem("PortInUse", "another program listens there; end it, or choose another port",
            words=r"address already in use|EADDRINUSE|port \d+ is (already )?in use"),
    Problem("DiskFull", "free space on the volume, or give the claim more storage",
            words=r"no space left on device|disk quota exceeded|ModelDiskFull",
            reasons=("ModelDiskFull",)),
    Problem("ExpiredCredentials", "log in again, or renew the token in the Secret that spec names",
            words=r"token (has |is )?expired|expired token|\b401\b[^0-9]{0,20}unauthorized|"
            r"invalid bearer token",
            reasons=("ModelUnauthorized", "Unauthorized")),
    Problem("QuotaExceeded", "ask for less in spec.resources, end other jobs, or have the quota of "
            "the namespace raised: kubectl describe resourcequota -n {namespace}",
            words=r"exceeded quota|quota .*exceeded"),
    Problem("PodSecurity", "the namespace forbids what the pod asks for; correct spec.podTemplate",
            words=r"violates PodSecurity"),
    Problem("QueueWaits", "the queue has no room yet; kubectl get workloads -n {namespace}",
            reasons=("SchedulingGated", "Queued"), words=r"couldn't assign flavors"),
    Problem("NoGpu", "no node has a free device of that kind: install its device plugin, free one, "
            "or ask for less in spec.resources.limits",
            words=r"insufficient [a-z0-9.-]+/(gpu|npu|mlu|dcu)",
            here="leave spec.resources out here: a GPU of this machine is used where torch finds "
            "one"),
    Problem("VolumeClaimMissing", "create the claim: kubectl get pvc -n {namespace}",
            words=r'persistentvolumeclaim "[^"]*" not found', reasons=("VolumeClaimMissing",),
            here="say which folder it is: flagscale run FILE --volume CLAIM=FOLDER"),
    Problem("NotEnoughRoom", "ask for less in spec.resources or spec.replicas, or add nodes",
            words=r"insufficient (cpu|memory|ephemeral-storage|pods)|nodes are available",
            reasons=("Unschedulable", "PendingTimeout")),
    Problem("ImagePull", "check the image's name and spec.podTemplate.imagePullSecrets",
            words=r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull",
            reasons=("ImagePull",)),
    Problem("SecretMissing", "create the Secret with that key",
            words=r'secret "[^"]*" not found|couldn\'t find key|comes from Secret',
            reasons=("ApiKeysUnusable", "SecretNotFound", "SecretUnusable", "SecretForbidden"),
            here="say what stands for it: flagscale run FILE --secret NAME=FOLDER_OR_FILE"),
    Problem("OperatorSilent", "the operator has not looked at it: kubectl get pods -n "
            "flagscale-system; flagscale doctor --on cluster",
            here="run the file again, which starts what does the work"),
    Problem("ControllerMissing", "install what the message names; it then goes on by itself",
            reasons=("DependencyMissing",)),
    Problem("NotAllowed", "the operator lacks a right; upgrade its chart, which brings it",
            reasons=("Forbidden",)),
    Problem("TrainJobNotReady", "follow it: flagscale explain trainjob/NAME, with the name that "
            "the message tells",
            reasons=("TrainJobNotFound", "TrainJobNotReady", "NoArtifact", "ArtifactNotOnClaim")),
    Problem("EngineArguments", "correct spec.engine as the message says",
            words=r"engine\.extraArgs|unknown argument|unrecognized arguments",
            reasons=("ConfigError",)),
    Problem("ModelNotFound", "check spec.model: its repository, URI, path and revision",
            reasons=("ModelNotFound", "ModelSourceUnreachable", "ModelDigestMismatch",
                     "ModelUnusable", "ModelTooLarge", "ModelDownloadFailed")),
    Problem("OutOfMemory", "raise spec.resources.limits.memory, or lower "
            "trainer.schedule.microBatchSize (a service: a smaller model or contextLength)",
            words=r"OOMKilled|out of memory|can't allocate memory|cannot allocate memory|"
            r"unable to allocate .*(Ki|Mi|Gi|Ti)B", reasons=("OutOfMemory",),
            here="lower trainer.schedule.microBatchSize, or end other programs"),
    Problem("Hang", "no step was reported for too long: see the logs of all ranks for the last "
            "thing that they did, or raise spec.failurePolicy.hangTimeoutSeconds",
            reasons=("Hang",)),
    Problem("WrongData", "correct the data file that the message names, then make a new TrainJob",
            reasons=("InvalidData",)),
    Problem("OutputUnwritable", "let the pods write to the volume: its access mode, and "
            "the owner of its files",
            reasons=("OutputUnwritable",)),
    Problem("CheckpointUnreadable", "remove the checkpoint that the message names; an older one, "
            "or the start, is taken", reasons=("CheckpointUnreadable",)),
    Problem("InvalidSpec", "correct the field that the message names",
            reasons=("InvalidSpec", "InvalidParameters", "Conflict", "ApplyRejected")),
    Problem("ToolChanged", "review the tool, then approve it as the message says",
            reasons=("SchemaDrifted",)),
    Problem("ToolNameTaken", "say another spec.name or spec.server", reasons=("DuplicateName",)),
    Problem("ToolUnreachable", "start its server, or correct its URL; it is looked at again",
            reasons=("Unreachable", "DoesNotResolve", "TimedOut", "ServerAway", "TlsFailed"),
            here="start its server, or correct its URL; then run the file again"),
    Problem("ToolForbidden", "name its host in spec.egress.internalHosts if you mean it, or "
            "correct the URL", reasons=("ForbiddenAddress", "ForbiddenRedirect", "Redirected")),
    Problem("ToolAnswersBadly", "correct what the server answers, or the URL",
            reasons=("BadAnswer", "NoAgentCard", "TooLarge", "InvalidDocument",
                     "DocumentNotFound")),
    Problem("MatcherMissing", "install the chart with matcher.enabled=true",
            reasons=("NoMatcher",)),
    Problem("Deadline", "raise spec.activeDeadlineSeconds, then make a new TrainJob",
            reasons=("Deadline",)),
    Problem("UserException", "correct the program or its arguments; flagscale logs {name} shows "
            "the whole traceback", reasons=("UserError",)),
    Problem("EngineExited", "flagscale logs {name} shows its last words; correct spec.model or "
            "spec.engine", reasons=("EngineExited", "ApplicationFailed", "GatewayFailed")),
    Problem("NodeLost", "nothing: the gang restarts on other nodes from its newest checkpoint",
            reasons=("NodeLost", "Preempted"),
            words=r"DeletionByTaintManager|PreemptionByScheduler"),
    Problem("PeerLost", "nothing: the gang restarts; if it comes again, look at the network",
            reasons=("PeerLost",)),
    Problem("Killed", "somebody or something outside ended a process; the gang restarts within "
            "spec.failurePolicy.restartBudgets", reasons=("Killed",)),
    Problem("UpgradeRolledBack", "correct the new revision as the message says; the one before it "
            "serves", reasons=("UpgradeRolledBack",)),
    Problem("NoProgress", "see its logs: flagscale logs {name}",
            reasons=("ProgressDeadlineExceeded", "Unknown", "PodsRefused", "ContainerError")),
)  # fmt: skip
