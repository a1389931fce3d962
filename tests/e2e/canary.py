"""Searches files and command lines for secrets: hidden numbers, callers, keys, paths of callback URLs."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import psutil

DATABASE = "rented-numbers.sqlite3"
# The database may hold them.
DATABASE_FILES = frozenset({DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"})


def needle(word: str) -> str:
    """For a number: its digits after the country code, which +33, 0033, 33, 0 or nothing may precede."""
    return word[-9:] if word.startswith("+") else word


def found_in(text: str | bytes, words: Iterable[str]) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    return sorted(word for word in words if needle(word).encode() in content)


def found_in_files(directory: Path, words: Iterable[str]) -> dict[str, list[str]]:
    """Maps each file (relative path) to the words in its name or content. Skips the database itself."""
    words, hits = list(words), {}
    for root, _, names in os.walk(directory):
        for name in names:
            path = Path(root) / name
            place = str(path.relative_to(directory))
            with contextlib.suppress(FileNotFoundError):
                content = path.read_bytes() if path.is_file() and name not in DATABASE_FILES else b""
                if found := found_in(content + place.encode(), words):
                    hits[place] = found
    return hits


@contextlib.contextmanager
def command_lines(roots: Callable[[], Iterable[int]]) -> Iterator[set[str]]:
    """Inside its `with`, collects the command lines of these processes and all their children, again and again."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            for pid in roots():
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(pid)
                    for each in (process, *process.children(recursive=True)):
                        with contextlib.suppress(psutil.Error):
                            seen.add("\0".join(each.cmdline()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def describe(hits: Mapping[str, list[str]]) -> str:
    return "\n".join(f"{place}: {', '.join(words)}" for place, words in hits.items())
