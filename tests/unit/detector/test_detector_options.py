"""Options of `kairos detector` that stand for a variable."""

import pytest
from typer.testing import CliRunner

from services.detector.commands import app


def test_verify_takes_the_brokers_by_its_option_alone() -> None:
    environment = {
        "KAIROS_KAFKA_BOOTSTRAP": None,
        "KAIROS_ENVIRONMENT": "test",
        "KAIROS_DETECTOR_ENGINE": "no_such_engine:x",  # the first thing after the settings: they were read
    }
    with pytest.raises(ModuleNotFoundError, match="no_such_engine"):
        CliRunner().invoke(app, ["verify", "--bootstrap", "127.0.0.1:1"], env=environment, catch_exceptions=False)
