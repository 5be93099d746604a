"""The one error of this package."""


class EngineConfigError(Exception):
    """A setting that this engine, version or device can't honour.

    The message has the house form: `engine.<field>: <what is wrong>, got <value>; <what to do>`.
    """
