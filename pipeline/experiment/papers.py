"""A paper's settings and numbers, from the YAML file that a grid names: `analysis: {paper: paper.yaml}`."""

from pathlib import Path

from pipeline.experiment.suggestions import did_you_mean
from pipeline.experiment.user_files import is_file
from pipeline.experiment.yaml_nodes import Node, refusal
from pipeline.experiment.yaml_reading import read_file

KEY = "paper"
"""Whose value is the name of such a file, relative to the file that names it."""
PUBLISHED = "published"


def is_paper(document: Node) -> bool:
    """Whether this is the file of a paper, and no grid."""
    return isinstance(document.value, dict) and "title" in document.value


def with_paper(document: Node) -> Node:
    """The same document with the content of the paper that it names in place of the name.

    So a store that remembers the grid has what a report needs of it. Of the tables of numbers in the paper's file the
    grid has the one that its `analysis.published` names. Raises UserError for a file, or a table, that is not there.
    """
    analysis = document.value.get("analysis") if isinstance(document.value, dict) else None
    if analysis is None or not isinstance(analysis.value, dict):
        return document
    paper, published = analysis.value.get(KEY), analysis.value.get(PUBLISHED)
    tables: dict[str, Node] = {}
    if paper is not None and isinstance(paper.value, str):
        paper, tables = _read(paper)
        analysis.value[KEY] = paper
    if published is not None and isinstance(published.value, str):
        if published.value not in tables:
            near = did_you_mean(published.value, list(tables))
            raise refusal(published.at, published.path, f"the paper has no numbers {published.value!r}.{near}")
        analysis.value[PUBLISHED] = tables[published.value]
    return document


def _read(name: Node) -> tuple[Node, dict[str, Node]]:
    """The paper, and its numbers by name."""
    if not is_file(Path(name.value)):
        raise refusal(name.at, name.path, f"there is no file {name.value}: name the YAML file of the paper.")
    document = read_file(Path(name.value))
    if not isinstance(document.value, dict):
        raise refusal(document.at, name.path, f"{name.value} is no paper: title: ..., settings: {{...}}.")
    tables = document.value.pop(PUBLISHED, None)
    return document, tables.value if tables is not None and isinstance(tables.value, dict) else {}
