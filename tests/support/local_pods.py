"""Processes of pods of this machine's runner."""

from pathlib import Path

import psutil

from flagscale_runner.local.pod_folder import MARK


def pods_below(home: Path) -> list[psutil.Process]:
    """Of one runner, by its folder: others may be at work on the machine."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        places = (environ.get("FLAGSCALE_HOME", ""), environ.get("HOME", ""))
        if MARK in environ and any(place.startswith(str(home)) for place in places):
            found.append(process)
    return found
