"""All checks of a place."""

import os
from typing import Literal

from flagscale_runner.doctor.check import Check


def checks_of(on: Literal["local", "cluster"], context: str | None) -> list[Check]:
    """Look; raises RunnerError when nothing can be looked at."""
    if on == "local":
        from flagscale_runner.doctor.machine import machine_checks
        from flagscale_runner.local.folders import folders_of

        return machine_checks(folders_of(os.environ))
    from flagscale_runner.cluster.runner import ClusterRunner
    from flagscale_runner.doctor.cluster import cluster_checks

    with ClusterRunner.of(os.environ, context) as runner:
        return cluster_checks(runner)
