"""`python -m services.workbench_api` = `kairos workbench`."""

from services.workbench_api.commands import app

if __name__ == "__main__":
    app(prog_name="kairos workbench")
