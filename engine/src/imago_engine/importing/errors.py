"""The one error of this library."""


class GeneratorImportError(ValueError):
    """A foreign generator cannot be read; the message says what was expected and what was found."""
