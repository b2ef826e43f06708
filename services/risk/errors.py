"""What can be wrong with a table or a fit; each message says what would be right."""


class RiskFitError(Exception):
    """Base: a fit that cannot be. Its text is for whoever called."""


class BadTable(RiskFitError):
    """The file cannot be read as a table, or has too little in it."""


class BadLabel(RiskFitError):
    """The label column is not there, or does not tell two classes apart."""


class BadOptions(RiskFitError):
    """An option names a column that is not there, or does not fit the others."""


class NothingToFit(RiskFitError):
    """No column tells anything about the label."""
