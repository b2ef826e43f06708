"""Settings come from the environment, all faults at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from services.settings import Secret, SettingsRefused, read_settings, shared


@dataclass(frozen=True, kw_only=True)
class Example:
    kafka_bootstrap: str = shared("KAFKA_BOOTSTRAP")
    postgres_dsn: Secret = shared("POSTGRES_DSN")
    lease_seconds: float = 900.0
    batch: int = 5
    kinds: tuple[str, ...] = ()
    verbose: bool = False
    folder: Path | None = None
    mode: Literal["fast", "safe"] = "safe"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError("KAIROS_EXAMPLE_BATCH wants at least 1")


GIVEN = {"KAIROS_KAFKA_BOOTSTRAP": "127.0.0.1:1", "KAIROS_POSTGRES_DSN": "postgresql://u:hush@h/d"}


def test_defaults_hold_and_shared_names_are_read() -> None:
    found = read_settings(Example, "EXAMPLE", GIVEN)
    assert (found.kafka_bootstrap, found.lease_seconds, found.kinds) == ("127.0.0.1:1", 900.0, ())


def test_values_are_converted() -> None:
    environ = GIVEN | {
        "KAIROS_EXAMPLE_LEASE_SECONDS": "2.5",
        "KAIROS_EXAMPLE_KINDS": "usage, bill",
        "KAIROS_EXAMPLE_VERBOSE": "yes",
        "KAIROS_EXAMPLE_FOLDER": "some/place",
        "KAIROS_EXAMPLE_MODE": "fast",
    }
    found = read_settings(Example, "EXAMPLE", environ)
    assert found.lease_seconds == 2.5
    assert found.kinds == ("usage", "bill")
    assert found.verbose
    assert found.folder == Path("some/place")
    assert found.mode == "fast"


def test_all_faults_are_reported_together() -> None:
    environ = {"KAIROS_EXAMPLE_BATCH": "many", "KAIROS_EXAMPLE_VERBOSE": "perhaps", "KAIROS_EXAMPLE_MODE": "slow"}
    with pytest.raises(SettingsRefused) as refused:
        read_settings(Example, "EXAMPLE", environ)
    assert len(refused.value.faults) == 5
    assert "KAIROS_KAFKA_BOOTSTRAP is required" in str(refused.value)


def test_a_value_that_the_class_refuses_is_reported() -> None:
    with pytest.raises(SettingsRefused, match="at least 1"):
        read_settings(Example, "EXAMPLE", GIVEN | {"KAIROS_EXAMPLE_BATCH": "0"})


def test_a_secret_never_shows_itself() -> None:
    assert "hush" not in repr(read_settings(Example, "EXAMPLE", GIVEN))
