"""`python -m services.router`: the same as `kairos router`."""

from services.router.commands import app

app()
