"""Labels and metadata: a pair is found in the text of its booking's metadata, and nowhere else."""

import json

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.notes import as_text, pair_in_text

# Few letters, among them all that have a meaning in JSON, so that pairs resemble each other.
KEYS = st.text("ab.-_", min_size=1, max_size=3)
VALUES = st.text('ab",:{}\\\n\u00e9\U0001f600', max_size=8)
METADATA = st.dictionaries(KEYS, VALUES, max_size=4)


@given(METADATA, KEYS, VALUES)
def test_a_pair_is_found_if_and_only_if_the_metadata_has_it(metadata: dict[str, str], key: str, value: str) -> None:
    assert (pair_in_text(key, value) in as_text(metadata)) == (metadata.get(key) == value)


@given(METADATA)
def test_every_pair_of_the_metadata_is_found_in_its_text(metadata: dict[str, str]) -> None:
    assert all(pair_in_text(key, value) in as_text(metadata) for key, value in metadata.items())


@given(METADATA)
def test_the_text_is_ascii_json_and_independent_of_the_order(metadata: dict[str, str]) -> None:
    text = as_text(metadata)
    assert text.isascii()
    assert json.loads(text) == metadata
    assert as_text(dict(reversed(metadata.items()))) == text


def test_a_value_that_looks_like_a_pair_is_not_found_as_one() -> None:
    assert pair_in_text("b", "c") not in as_text({"a": '","b":"c'})
    assert pair_in_text("b", "c") not in as_text({"a": '"b":"c"'})
