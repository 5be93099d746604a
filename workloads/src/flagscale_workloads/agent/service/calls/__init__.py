"""Calls of tools: checked before they leave, bounded while they run."""
