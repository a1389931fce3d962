"""Finds in a recording what was said, by the rise and fall of its loudness (16 bit, one channel)."""

import math
from collections.abc import Sequence
from itertools import pairwise

# A syllable takes some 200 ms.
BLOCK_SECONDS = 0.02


def loudness(samples: Sequence[int], rate: int) -> list[float]:
    """Returns the loudness of each block."""
    size = round(rate * BLOCK_SECONDS)
    edges = range(0, len(samples) + 1, size)
    return [math.sqrt(sum(each * each for each in samples[begin:end]) / size) for begin, end in pairwise(edges)]


def find(recording: Sequence[float], said: Sequence[float], within: float) -> tuple[float, float]:
    """Looks for a sentence in a recording, both as `loudness` returns them.

    Args:
        recording: The recording.
        said: The sentence.
        within: The sentence begins in this many of the first seconds. Its first tenth of a second may be cut off.

    Returns:
        How well the best place fits, from 0 to 1, and when it begins there, in seconds. Where one of the two lasts
        longer than the other, the other is silent.
    """
    places = range(-round(0.1 / BLOCK_SECONDS), round(within / BLOCK_SECONDS))
    return max((_fit(recording, said, place), place * BLOCK_SECONDS) for place in places)


def _fit(recording: Sequence[float], said: Sequence[float], place: int) -> float:
    """Returns Pearson's correlation of the whole recording with the sentence at a place of it and silence around."""
    size = max(len(recording), place + len(said)) - min(place, 0)
    heard = [0.0] * size
    heard[max(-place, 0) : max(-place, 0) + len(recording)] = recording
    wanted = [0.0] * size
    wanted[max(place, 0) : max(place, 0) + len(said)] = said
    mean_heard, mean_wanted = sum(heard) / size, sum(wanted) / size
    heard, wanted = [each - mean_heard for each in heard], [each - mean_wanted for each in wanted]
    power = math.sqrt(sum(each * each for each in heard) * sum(each * each for each in wanted))
    return sum(map(float.__mul__, heard, wanted)) / power if power else 0.0
