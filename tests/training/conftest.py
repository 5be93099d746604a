"""A tiny run, as fixtures."""

from support.training_run import make_config, one_thread, start

__all__ = ["make_config", "one_thread", "start"]
