"""Names of classes that label files number from 0 on: from a list beside them."""

import re
from pathlib import Path

import yaml

from ...errors import OpenQuestion
from ...fileio.terminal import printable
from .answers import Answers
from .file_content import read_text
from .label_source import FOLDER, LabelSource

_FILES = re.compile(
    r'((.*label_list|labels?|classes|class_names|categories)(\.txt)?|.*\.names|.*\.ya?ml)'
)
_NUMBERED = re.compile(r'(\d+)[ \t:,]+(.*)')


def class_names(
    source: LabelSource, number: int, is_complete: bool, answers: Answers
) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of classes 0, 1, ..., and a note.

    Looked for is a text file with a name a line, ``classes.txt``, ``label_list.txt``, ``obj.names``
    or similar, or a YAML file with ``names``, in the folder of the label file and in those around
    it. Where there is none, the names are the numbers.

    Args:
        source (LabelSource): The label file.
        number (int): Of the classes that the label file has.
        is_complete (bool): Whether that is all of them, so that a longer list is another one.
        answers (Answers): ``class_names``, a file.

    Raises:
        OpenQuestion: If there are several such files.
        ValueError: If the file that is named has fewer names.
    """

    def fits(names: tuple[str, ...]) -> bool:
        return len(names) == number or (len(names) > number and not is_complete)

    data = source.images.data
    if answers.class_names is not None:
        path = data / answers.class_names
        if not fits(names := _read(path, answers)):
            raise ValueError(f'{path} has {len(names)} names, and there are {number} classes')
        return names, []
    folder = source.path if source.suffix == FOLDER else source.path.parent
    found = {
        path: names
        for each in (folder, *folder.parents)
        if data in (each, *each.parents)
        for path in sorted(each.iterdir())
        if _FILES.fullmatch(path.name) and path.is_file() and fits(names := _read(path, answers))
    }
    if len(set(found.values())) > 1:
        raise OpenQuestion(
            'class_names',
            f'{source.path} numbers its {number} classes, and several files may have their names.',
            {
                str(path): f'{len(names)} names: {printable(", ".join(names[:3]))}'
                for path, names in found.items()
            },
        )
    for path, names in found.items():
        return names, [f'names of the classes from {path}']
    return tuple(map(str, range(number))), [
        f'{source.path} numbers its {number} classes, and there is no list of names, such as '
        'classes.txt: the names are the numbers; `class_names` names a list'
    ]


def _read(path: Path, answers: Answers) -> tuple[str, ...]:
    """Return the names in a file, without the numbers that all lines may begin with."""
    text = read_text(path, answers.encoding)
    if path.suffix in ('.yaml', '.yml'):
        return _of_yaml(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if all(match and int(match[1]) == i for i, match in enumerate(numbered)):
        return tuple(match[2] for match in numbered if match)
    return tuple(lines)


def _of_yaml(text: str) -> tuple[str, ...]:
    """Return ``names``, a list or an object by number; nothing if there are none."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # another program's file perhaps
        return ()
    names = content.get('names') if isinstance(content, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[index] for index in range(len(names))]
    return tuple(map(str, names)) if isinstance(names, list) else ()
