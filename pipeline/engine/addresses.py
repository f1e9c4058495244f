"""Addresses as they may be shown: stores and tracking servers can carry credentials."""

import re


def shown(text: str) -> str:
    """A URI, or a message with URIs in it, without credentials."""
    return re.sub(r"://[^/@\s]*@", "://", text)
