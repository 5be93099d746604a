"""What a model can't be turned into, told in words that the user can act on."""


class UnsupportedModelError(Exception):
    """A model that this form can't hold: `<where>: <what is wrong>, got <value>; <what to do>`."""
