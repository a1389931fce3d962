"""The plural of what sentences count."""

_VOWELS = "aeiou"


def counted(count: int, noun: str) -> str:
    """Returns a count with its noun: `1 call`, `2 calls`, `0 discrepancies`.

    Args:
        count: How many.
        noun: The noun in the singular, whose plural follows the general rule.
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in _VOWELS else f"{count} {noun}s"
