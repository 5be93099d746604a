"""Names of keys. The braces put a namespace into one slot of a Redis cluster."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one namespace."""

    namespace: str

    def of(self, *names: str) -> list[str]:
        """Keys that the namespace has one of."""
        return [f"flagscale:{{{self.namespace}}}:{name}" for name in names]

    def stream(self, channel: str) -> str:
        """A channel's messages."""
        return self.of(f"stream:{channel}")[0]

    def sent(self, channel: str) -> str:
        """The senders' own keys of a channel's messages."""
        return self.of(f"sent:{channel}")[0]
