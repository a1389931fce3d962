"""Sends requests to an API on loopback, with the standard library only."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An answer of the API. `body` is its JSON, or None. Status 0 means that no answer came."""

    status: int
    body: Any


def send(method: str, url: str, body: Mapping[str, object] | None, headers: Mapping[str, str]) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers=dict(headers))  # noqa: S310  ours
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  as above
            return _answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.read())
    except OSError:
        return Answer(0, None)


def _answer(status: int, body: bytes) -> Answer:
    return Answer(status, json.loads(body) if body else None)
