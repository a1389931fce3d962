"""Labels and metadata: each has a digest of its own, and equal metadata has equal text."""

import json
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.ids import AccountId
from engine.domain.notes import as_text, digests, label_digest, pair_digest

ACCOUNT = AccountId("acc_1")
# Few letters, among them all that have a meaning in JSON, so that pairs resemble each other.
KEYS = st.text("ab.-_", min_size=1, max_size=3)
VALUES = st.text('ab",:{}\\\n\u00e9\U0001f600', max_size=8)
METADATA = st.dictionaries(KEYS, VALUES, max_size=4)


@given(METADATA, KEYS, VALUES)
def test_a_pair_is_found_if_and_only_if_the_metadata_has_it(metadata: dict[str, str], key: str, value: str) -> None:
    assert (pair_digest(ACCOUNT, key, value) in digests(ACCOUNT, "", metadata)) == (metadata.get(key) == value)


@given(METADATA, VALUES)
def test_a_booking_has_a_digest_for_each_pair_and_one_for_its_label(metadata: dict[str, str], label: str) -> None:
    pairs = {pair_digest(ACCOUNT, key, value) for key, value in metadata.items()}
    assert len(pairs) == len(metadata)
    assert digests(ACCOUNT, label, metadata) == pairs | ({label_digest(ACCOUNT, label)} if label else set())


def test_notes_that_look_alike_have_different_digests() -> None:
    other = AccountId("acc_2")
    alike = [
        label_digest(ACCOUNT, "a"),
        label_digest(other, "a"),
        label_digest(ACCOUNT, '","a'),
        pair_digest(ACCOUNT, "a", ""),
        pair_digest(ACCOUNT, "a", "a"),
        pair_digest(other, "a", "a"),
        pair_digest(ACCOUNT, "a", '","a'),
        pair_digest(ACCOUNT, "aa", ""),
    ]
    assert all(one != another for one, another in combinations(alike, 2))
    assert {len(digest) for digest in alike} == {20}


@given(METADATA)
def test_the_text_is_short_json_and_independent_of_the_order(metadata: dict[str, str]) -> None:
    text = as_text(metadata)
    assert json.loads(text) == metadata
    assert as_text(dict(reversed(metadata.items()))) == text
    assert len(as_text({"a": "\U0001f600"}).encode()) == len('{"a":""}') + 4
