"""`python -m services.ingest` = `kairos ingest`."""

from services.ingest.commands import app

if __name__ == "__main__":
    app(prog_name="kairos ingest")
