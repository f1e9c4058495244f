"""Text of others as it may be shown: a terminal, a browser or a chart that shows it obeys nothing in it."""

import re

_OBEYED = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters (ESC, BEL, CR, CSI), but for tab and end of line
    r"\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # what turns the direction of text
    r"\u200b\u2028\u2029\u2060-\u2065\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # other lines, and what is not seen
    r"\ud800-\udfff"  # bytes of a file's name that are no text: they cannot be written at all
)
_CHARACTER = re.compile(f"[{_OBEYED}]")
_IN_JSON = re.compile(rf"\\u00[01][0-9a-f]|\\[bfr]|\\.|[{_OBEYED}]")


def escaped(text: str) -> str:
    r"""`text` with control characters, and others that change what is seen around them, as `\x1b` or `\u202e`."""
    return text if text.isascii() and text.isprintable() else _CHARACTER.sub(lambda found: _code(found[0]), text)


def escaped_json(text: str) -> str:
    """JSON whose strings are those of the JSON `text`, each as `escaped` gives it."""
    return _IN_JSON.sub(lambda found: _code_in_json(found[0]), text)


def _code_in_json(found: str) -> str:
    if len(found) == 1:
        return "\\" + _code(found)
    character = {"\\b": "\b", "\\f": "\f", "\\r": "\r"}.get(found) or (chr(int(found[2:], 16)) if found[2:] else "")
    return "\\" + _code(character) if character and _CHARACTER.match(character) else found


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
