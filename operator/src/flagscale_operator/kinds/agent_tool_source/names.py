"""What the AgentTools of a source are called (pure)."""

import hashlib
import re
from typing import Final

NAME_CHARACTERS: Final = 128
_PLAIN: Final = re.compile(r"^[a-z0-9]+(_[a-z0-9]+)*$")
_NOT_IN_OBJECTS: Final = re.compile(r"[^a-z0-9]+")
_NOT_IN_TOOLS: Final = re.compile(r"[^-A-Za-z0-9_.]")
_SLUG: Final = 96


def object_name(source: str, tool: str) -> str:
    """metadata.name: of `read_file` it is `<source>-read-file`.

    It depends on nothing but both names, so a tool keeps it whatever comes and goes beside it.
    Names that are not words with underscores get a hash, as two of them could look the same.
    """
    if _PLAIN.match(tool) and len(tool) <= _SLUG:
        return f"{source}-{tool.replace('_', '-')}"
    slug = _NOT_IN_OBJECTS.sub("-", tool.lower()).strip("-")[:_SLUG].strip("-")
    return "-".join(part for part in (source, slug, _short_hash(tool)) if part)


def agent_name(tool: str) -> str:
    """spec.name: the tool's own where models can say it, else as near as they can."""
    name = _NOT_IN_TOOLS.sub("_", tool)
    if name == tool and len(tool) <= NAME_CHARACTERS and tool[0] not in "-.":
        return tool
    return f"{name.lstrip('-.')[: NAME_CHARACTERS - 9]}_{_short_hash(tool)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
