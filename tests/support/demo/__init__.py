"""The demo: install by Helm, apply the sample, follow it, show what came out."""
