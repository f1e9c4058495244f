"""Credentials in addresses: found, and left out of whatever is shown, logged or kept."""

import re

_IN_HOST = r"""[^/\s"'<>]"""
_WITH_SLASH = r"""[^/@:\s"'<>]*:(?!\d+(?:[/\s]|$))[^@\s"'<>]*"""
"""User and a password that has a slash in it, as SQLAlchemy takes it: what follows the colon is no port."""
_USER = re.compile(rf"://(?:{_IN_HOST}*|{_WITH_SLASH})@")
_PASSWORD = re.compile(rf"://(?:{_IN_HOST}*?:{_IN_HOST}*|{_WITH_SLASH})@")
_QUERY = re.compile(r"""\?[^\s"'<>#]+""")
_SECRET = re.compile(
    r"secret|key|token|passw|pwd|passphrase|signature|credential|sig$|sas$|odbc_connect", re.IGNORECASE
)
"""Names of parameters that are not shown: those of pyarrow, libpq, ODBC and signed URLs."""


def shown(text: str) -> str:
    """A URI, or a message with URIs in it, without users, passwords and parameters that hold secrets."""
    return _QUERY.sub(lambda found: _open_parameters(found[0]), _USER.sub("://", text))


def holds_secret(text: str) -> bool:
    """Whether a URI in `text` has a password or a secret parameter; a user's name alone is no secret."""
    without_users = _USER.sub("://", text)
    return bool(_PASSWORD.search(text)) or shown(without_users) != without_users


def _open_parameters(query: str) -> str:
    parameters = query[1:].split("&")
    kept = [each for each in parameters if not ("=" in each and _SECRET.search(each.partition("=")[0]))]
    if len(kept) == len(parameters):
        return query
    return "?" + "&".join(kept) if kept else ""
