"""The FlagScale operator."""
