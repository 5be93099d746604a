"""Asking what is served, and finding tools."""
