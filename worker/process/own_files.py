"""What people are told of a worker's own files."""


def unusable(error: OSError) -> str:
    """That this machine's files cannot be used now: without the error's own text, which names its folders."""
    return f"The worker cannot read or write files of its own: {error.strerror or type(error).__name__}."
