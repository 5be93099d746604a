"""MiniLM in a process of its own: whatever happens to it, searches go on."""
