"""The error a person caused and can mend: its message says what, where and what to do."""


class UserError(Exception):
    """Shown without a stack trace; the command ends with exit code 2."""


class IncompleteError(UserError):
    """A grid in which nothing is wrong but that something is missing, as in a part that other grids extend."""
