"""Keeps the books of what was sent: who was accepted, who was refused and why, and who had to be refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.simulator.doors import Answer
from services.smoke.evidence import Identity, Refused


@dataclass
class SendingBooks:
    """Grows while the run sends; an event that was accepted once is accepted for good."""

    accepted: set[Identity] = field(default_factory=set)
    refused: list[Refused] = field(default_factory=list)
    expected_reasons: dict[Identity, str] = field(default_factory=dict)
    # Answers by door and outcome, repeats included.
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    kinds_by_door: dict[str, set[str]] = field(default_factory=dict)

    def expect_refusal(self, identity: Identity, reason: str) -> None:
        """This event must be refused for this reason."""
        self.expected_reasons[identity] = reason

    def note(self, answers: Iterable[Answer]) -> None:
        """Enter the answers of a door."""
        for answer in answers:
            identity = (answer.source, answer.event_id)
            if answer.is_accepted:
                self.accepted.add(identity)
                self.answers[answer.door, "accepted"] += 1
            else:
                self.note_refusal(identity, answer.door, answer.reasons)

    def note_refusal(self, identity: Identity, door: str, reasons: tuple[str, ...]) -> None:
        """Enter one refusal."""
        self.answers[door, "rejected"] += 1
        expected = self.expected_reasons.get(identity)
        self.refused.append(Refused(identity=identity, door=door, reasons=reasons, expected=expected))

    def note_file(self, identities: Iterable[Identity]) -> None:
        """Enter the events of a file that was loaded without a refusal."""
        for identity in identities:
            self.accepted.add(identity)
            self.answers["file", "accepted"] += 1

    @property
    def sent_count(self) -> int:
        """How many events got an answer, repeats included."""
        return sum(self.answers.values())

    def rejected_by_reason(self) -> dict[str, int]:
        """Refusals by their first reason."""
        return dict(sorted(Counter(refused.reasons[0] for refused in self.refused).items()))
