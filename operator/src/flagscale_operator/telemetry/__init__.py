"""Logs, metrics and Events."""
