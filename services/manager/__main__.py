"""`python -m services.manager` = `kairos manager`."""

from services.manager.commands import app

if __name__ == "__main__":
    app(prog_name="kairos manager")
