"""The receipt of an erasure: what was searched and removed, what is unsure, and what no erasure reaches.

It names places, never the number or the texts that contain it. So it can be kept, and shown to the person.
"""

from dataclasses import dataclass
from typing import Any

from engine.domain.masking import masked
from engine.privacy.erasure_steps import STEPS
from engine.privacy.findings import Findings
from engine.privacy.scrub_files import ScrubResult

# What this machine cannot search.
BEYOND_REACH = (
    "backups outside the data directory; `restore` erases the number again from a backup that is restored here",
    "files outside the data directory: exported call records, the system's journal, an attached Asterisk's logs",
    "records of the carriers",
    "systems of customers that got callbacks or read the number by the API",
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receipt of one run. A run that was interrupted has none; the next one lists what it did itself."""

    number: str
    rows: Findings
    files: ScrubResult

    @property
    def remaining(self) -> list[str]:
        """Descriptions of what still contains the number."""
        return [*self.rows.remaining, *self.files.remaining]

    @property
    def unsure(self) -> list[dict[str, str]]:
        """Places with similar digits, in the database and in files."""
        return [*(each._asdict() for each in self.rows.unsure), *({"file": each} for each in self.files.unsure)]

    @property
    def is_complete(self) -> bool:
        """Whether nothing remains and nothing is unsure."""
        return not (self.remaining or self.unsure)

    @property
    def removed(self) -> dict[str, int]:
        """How many rows lost the number, by kind, and how many files."""
        return {**self.rows.removed, "files": self.files.files}

    def as_record(self) -> dict[str, Any]:
        """Returns the receipt as JSON has it."""
        return {
            "number": masked(self.number),
            "searched": {
                "tables": [
                    {"table": each.table, "columns": list(each.columns), "rows": self.rows.searched[each.table]}
                    for each in STEPS
                ],
                "files": self.files.searched,
            },
            "removed": self.removed,
            "remaining": self.remaining,
            "unsure": self.unsure,
            "unsure_count": self.rows.unsure_count + len(self.files.unsure),
            "unreachable": {
                "backups": self.files.backups,
                "files": self.files.unsearched,
                "receivers": [each._asdict() for each in sorted(self.rows.receivers)],
                "others": list(BEYOND_REACH),
            },
        }

    def lines(self) -> list[str]:
        """Returns the receipt as text, without what remains or is unsure."""
        searched = [
            f"  {each.table} ({', '.join(each.columns)}): {self.rows.searched[each.table]} rows" for each in STEPS
        ]
        removed = [f"{kind:>17}  {count}" for kind, count in self.removed.items()]
        unreachable = [
            *(f"  the backup {path}" for path in self.files.backups),
            *(f"  the file {path}, which cannot be searched" for path in self.files.unsearched),
            *(
                f"  {each.host}, which was sent it for account {each.account_id}"
                for each in sorted(self.rows.receivers)
            ),
            *(f"  {each}" for each in BEYOND_REACH),
        ]
        return [
            f"Erasure of {masked(self.number)}",
            "Searched:",
            *searched,
            f"  {self.files.searched} files",
            "Removed from:",
            *removed,
            "Cannot be reached:",
            *unreachable,
        ]

    def complaints(self) -> list[str]:
        """Returns a line for each place that remains or is unsure."""
        unlisted = self.rows.unsure_count - len(self.rows.unsure)
        return [
            *(f"still holds it: {what}" for what in self.remaining),
            *(f"unsure, look at it yourself: {place}" for place in (*self.rows.unsure, *self.files.unsure)),
            *([f"unsure: {unlisted} further places"] if unlisted else []),
        ]
