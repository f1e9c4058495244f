"""Credentials in addresses: found, and left out of whatever is shown, logged or kept.

Error messages of others come through here, of any length: every pattern takes time in proportion to the text.
"""

import re

_ADDRESS = re.compile(r"""[^\s"'<>]++""")
_IN_HOST = r"[^/]"
_WITH_SLASH = r"[^/@:]*+:(?!\d++/)[^@]*+"
"""User and a password that has a slash in it, as SQLAlchemy takes it: what follows the colon is no port."""
_USER = re.compile(rf"://({_IN_HOST}*|{_WITH_SLASH})@")
"""Linear only in a text that ends with @: what begins as a password with a slash then always finds its end."""
_QUERY = re.compile(r"""\?[^\s"'<>#]++""")
_SECRET = re.compile(
    r"secret|key|token|passw|pwd|passphrase|signature|credential|sig$|sas$|odbc_connect", re.IGNORECASE
)
"""Names of parameters that are not shown: those of pyarrow, libpq, ODBC and signed URLs."""


def shown(text: str) -> str:
    """A URI, or a message with URIs in it, without users, passwords and parameters that hold secrets."""
    return _QUERY.sub(lambda found: _open_parameters(found[0]), _without_users(text))


def holds_secret(text: str) -> bool:
    """Whether a URI in `text` has a password or a secret parameter; a user's name alone is no secret."""
    if any(":" in user for address in _ADDRESS.findall(text) for user in _USER.findall(_with_users(address))):
        return True
    without_users = _without_users(text)
    return shown(without_users) != without_users


def _without_users(text: str) -> str:
    if "://" not in text:
        return text
    return _ADDRESS.sub(lambda found: _without_user(found[0]), text)


def _without_user(address: str) -> str:
    users = _with_users(address)
    return _USER.sub("://", users) + address[len(users) :]


def _with_users(address: str) -> str:
    """The part of an address that can hold users and passwords: all up to its last @."""
    return address[: address.rfind("@") + 1]


def _open_parameters(query: str) -> str:
    parameters = query[1:].split("&")
    kept = [each for each in parameters if not ("=" in each and _SECRET.search(each.partition("=")[0]))]
    if len(kept) == len(parameters):
        return query
    return "?" + "&".join(kept) if kept else ""
