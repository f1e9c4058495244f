"""The error a person caused and can mend: its message says what, where and what to do."""


class UserError(Exception):
    """Shown without a stack trace; the command ends with exit code 2."""
