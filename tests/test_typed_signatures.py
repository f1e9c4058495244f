"""What public functions take and give has a type: `Any`, and dictionaries of it, are for what is on the disk.

Read from the source text: parameters and results of public functions and methods (`__init__` and its like are public)
count if they say `Any`, or `dict` or `Mapping` of nothing in particular, themselves or by a name that stands for it.
"""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "pipeline"

READERS = {
    *("engine/store/documents.py", "engine/store/sealed.py"),  # JSON of a store
    "engine/grid_documents.py",  # a grid that such a document holds
    "engine/jobs/server.py",  # a cluster's answers
    *("experiment/yaml_nodes.py", "experiment/yaml_scalars.py"),  # what a person wrote
}
"""Modules that read what others wrote, where nobody can say what it is before it is looked at."""

BARE = {"dict", "Mapping", "MutableMapping"}


def test_only_what_reads_the_disk_takes_or_gives_anything() -> None:
    found = {name: functions for name in modules() if (functions := untyped(name))}
    assert found.keys() == READERS, {name: found[name] for name in found.keys() - READERS}


def modules() -> list[str]:
    return sorted(str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py"))


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text())


def untyped(name: str) -> list[str]:
    """Public functions and methods of a module that say `Any`, by their names."""
    found = []
    for outer in tree_of(name).body:
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(outer.name):
            found += [outer.name] if says_any(outer, name) else []
        if isinstance(outer, ast.ClassDef) and is_public(outer.name):
            found += [
                f"{outer.name}.{inner.name}"
                for inner in outer.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
                and is_public(inner.name)
                and says_any(inner, name)
            ]
    return found


def is_public(name: str) -> bool:
    return not name.startswith("_") or name.endswith("__")


def says_any(function: ast.FunctionDef | ast.AsyncFunctionDef, module: str) -> bool:
    of = function.args
    given = [*of.posonlyargs, *of.args, *of.kwonlyargs, *filter(None, (of.vararg, of.kwarg))]
    annotations = [each.annotation for each in given] + [function.returns]
    return any(is_any(each, module) for each in annotations if each is not None)


def is_any(annotation: ast.expr, module: str) -> bool:
    """Whether `Any` or a bare dictionary is in it, or a name that stands for a type with one."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":  # the rest is about it
        return isinstance(annotation.slice, ast.Tuple) and is_any(annotation.slice.elts[0], module)
    if isinstance(annotation, ast.Subscript):  # `dict[...]` is not bare; what is in the brackets may be
        inside = ast.unparse(annotation.value) in BARE
        return (not inside and is_any(annotation.value, module)) or is_any(annotation.slice, module)
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return is_any(ast.parse(annotation.value, mode="eval").body, module)
    if isinstance(annotation, ast.Name):
        return annotation.id in BARE | {"Any"} or annotation.id in aliases(module)
    if isinstance(annotation, ast.Attribute):
        source = imported(module).get(ast.unparse(annotation.value))
        return source is not None and annotation.attr in own_aliases(source)
    return any(is_any(child, module) for child in ast.iter_child_nodes(annotation) if isinstance(child, ast.expr))


@cache
def imported(module: str) -> dict[str, str]:
    """Names of a module that are modules of the package, or come from one: name -> that module's file."""
    found = {}
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pipeline"):
            source = "/".join(node.module.split(".")[1:])
            for alias in node.names:
                for file in (f"{source}/{alias.name}.py", f"{source}.py", f"{source}/__init__.py"):
                    if (PACKAGE / file).is_file():
                        found[alias.asname or alias.name] = file
                        break
    return found


@cache
def aliases(module: str) -> set[str]:
    """Names that stand, in this module, for a type with `Any` in it: its own, and those that it imports."""
    return own_aliases(module) | {name for name, file in imported(module).items() if name in own_aliases(file)}


@cache
def own_aliases(module: str) -> set[str]:
    assigned = [node for node in tree_of(module).body if isinstance(node, ast.Assign)]
    return {
        ast.unparse(node.targets[0])
        for node in assigned
        if isinstance(node.value, ast.Subscript | ast.BinOp)
        and any(isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(node.value))
    }
