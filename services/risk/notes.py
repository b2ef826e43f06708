"""Something worth telling about a table or a card, in English and Chinese."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One sentence, twice."""

    english: str
    chinese: str

    def __str__(self) -> str:
        return self.english
