"""Definitions out of a checkout of PaddleClas, without the imports of their neighbours.

The installed package leaves out augmentation and metrics; their modules import half of the
repository.
"""

import ast
from pathlib import Path
from typing import Any


def define(path: Path, names: tuple[str, ...], **namespace: Any) -> dict[str, Any]:
    """Run the named classes and functions of a file and return the namespace that they ran in.

    Args:
        path (Path): Source file.
        names (tuple[str]): Classes and functions at its top level.
        **namespace: The globals that they use.

    Raises:
        ValueError: If the file lacks one of them.
    """
    found = [
        node for node in ast.parse(path.read_text()).body if getattr(node, 'name', '') in names
    ]
    missing = set(names) - {node.name for node in found}
    if missing:
        raise ValueError(f'{path} does not define {", ".join(sorted(missing))}')
    exec(compile(ast.Module(found, type_ignores=[]), str(path), 'exec'), namespace)
    return namespace
