"""The plural of what sentences count."""


def counted(count: int, noun: str) -> str:
    """Returns a count with its noun: `1 call`, `2 calls`. `noun` is singular, and its plural ends with a mere `s`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
