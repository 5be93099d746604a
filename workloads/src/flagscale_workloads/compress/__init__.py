"""Smaller models: exporters and compressors."""
