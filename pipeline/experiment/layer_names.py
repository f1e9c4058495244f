"""Layers by name or pattern, as rates, `only` and `include` have them."""

from fnmatch import fnmatchcase


def names_layer(pattern: str, name: str) -> bool:
    """Whether a name or pattern of layers ("head", "fc*", "conv1.weight") is for the parameter `name`."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.removesuffix(".weight"), pattern)
