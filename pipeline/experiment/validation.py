"""pydantic's findings as sentences with file, line and key."""

import re
from typing import Any

from pydantic import ValidationError

from pipeline.experiment.errors import IncompleteError, UserError
from pipeline.experiment.merging import without_nulls
from pipeline.experiment.spec import Spec
from pipeline.experiment.suggestions import did_you_mean
from pipeline.experiment.valueless_keys import NO_VALUE, mistakes_in_valueless_keys
from pipeline.experiment.variants import COMMON
from pipeline.experiment.written_keys import written_keys
from pipeline.experiment.yaml_nodes import Node, refusal

MAX_ERRORS = 20
MISSING = ("missing", "union_tag_not_found")
"""pydantic's words for a field that is not there, and for a mapping without the name that says what it is."""


def validate(document: Node, whole: str) -> Spec:
    """The spec that `document` describes; `whole` names the file.

    Raises UserError with a line for each mistake: IncompleteError if each is that something is missing.
    """

    def place(at: tuple[str | int, ...], what: str) -> UserError:
        node, path = locate(document, at)
        return refusal(node.at, path, what)

    if not isinstance(document.value, dict):
        raise refusal(document.at, "", "a grid is a mapping: name, model, seeds, training, prune, sources, ...")
    details: list[Any] = []
    valueless = list(mistakes_in_valueless_keys(document))
    found = list(valueless)
    try:
        spec = Spec.model_validate(without_nulls(document).plain()).located(place)
        if not valueless:
            return spec
    except ValidationError as error:
        every = error.errors(include_url=False)
        containers = {each["loc"][:length] for each in every for length in range(len(each["loc"]))}
        # a list is only "too short" because its items are wrong, which is said already
        details = [each for each in every if each["type"] != "too_short" or each["loc"] not in containers]
        empty = {at for at, _ in valueless}
        found += [mistake for mistake in map(_explained, details) if mistake[0] not in empty]
    found.sort(key=lambda mistake: locate(document, mistake[0])[0].at.line or 0)
    # the common settings stand in every source and target: one mistake, one line
    lines = list(dict.fromkeys(str(place(*mistake)) for mistake in found))
    if len(lines) > MAX_ERRORS:
        lines = [*lines[:MAX_ERRORS], f"{whole}: and {len(lines) - MAX_ERRORS} more."]
    is_missing = all(detail["type"] in MISSING for detail in details) and all(what == NO_VALUE for _, what in valueless)
    kind = IncompleteError if is_missing else UserError
    raise kind("\n".join(lines))


def locate(document: Node, at: tuple[str | int, ...]) -> tuple[Node, str]:
    """The node at `at` and its path as the author wrote it; the nearest one above where there is none.

    Parts that name no key are skipped: pydantic puts the name of a union's member into its locations.
    """
    node, missing = document, ""
    for number, part in enumerate(at):
        below = None
        if isinstance(node.value, dict):
            below = node.value.get(str(part))
            if below is None and number == len(at) - 1:
                missing = str(part)
        elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            below = node.value[part]
        node = below or node
    return node, ".".join(part for part in (node.path, missing) if part)


def _explained(detail: Any) -> tuple[tuple[str | int, ...], str]:
    at, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
    value = _short(detail["input"])
    if kind == "refused":
        return (*at, *context["at"]), context["what"]
    if kind == "extra_forbidden":
        return at, f"unknown key.{did_you_mean(at[-1], written_keys(Spec, at[:-1]))}"
    if kind == "missing":
        # what all sources and targets lack belongs at the top, where it is written once
        return at[-1:] if at[-1] in COMMON else at, "is missing."
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return at, f"should be a mapping, not {value}."
    if kind in ("literal_error", "union_tag_invalid"):
        given = context.get("tag", detail["input"])
        expected = context.get("expected_tags") or context.get("expected", "")
        valid = re.findall(r"'([^']*)'", expected)
        own = " or your own, file.py:name" if "user" in valid else ""
        valid = [name for name in valid if name != "user"]
        known = f"; known: {', '.join(valid)}{own}" if valid else f", should be {expected}"
        hint = did_you_mean(given, valid)
        if " Valid:" in hint:
            hint = ""
        return (*at, "name") if kind == "union_tag_invalid" else at, f"{_short(given)} is not valid{known}.{hint}"
    if kind == "union_tag_not_found":
        return (*at, "name"), "is missing."
    if kind == "value_error":
        return at, f"{context['error']}."
    if kind == "too_short":
        return at, "should not be empty."
    if kind == "tuple_type":
        return at, f"should be a list, not {value}."
    if kind == "string_pattern_mismatch":
        return at, f"{value} should begin with a letter or digit and hold letters, digits, dots and dashes only."
    if kind == "string_type" and isinstance(detail["input"], bool):
        return at, "should be text, and this is a truth value in YAML: put it in quotes."
    text = detail["msg"][0].lower() + detail["msg"][1:]
    return at, f"{text.removeprefix('input ')}, not {value}."


def _short(value: object) -> str:
    text = (
        repr(value)
        if not isinstance(value, dict | list | tuple)
        else f"a {'mapping' if isinstance(value, dict) else 'list'}"
    )
    return text if len(text) <= 60 else text[:57] + "..."
