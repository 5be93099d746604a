"""Environments of the real engines, built once into the cache outside the checkout."""

from .environment import ENGINES, Environment, engine_python

__all__ = ["ENGINES", "Environment", "engine_python"]
