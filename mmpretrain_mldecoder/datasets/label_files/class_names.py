"""Names of classes that label files number from 0 on: from a list beside them."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import yaml

from ...errors import OpenQuestion
from ...fileio.terminal import counted, printable
from .answers import Answers
from .file_content import read_text
from .label_source import FOLDER, LabelSource
from .label_table import LabelRow

_FILES = re.compile(
    r'((.*label_list|labels?|class(es)?_names|classes|categories|words|synsets|Concepts\d*)(\.txt)?'
    r'|.*\.names|.*\.ya?ml)'
)
_NUMBERED = re.compile(r'(\d+)[ \t:,]+("?)(.*)\2')


def name_classes(
    rows: Sequence[LabelRow], classes: Sequence[str], source: LabelSource
) -> tuple[list[LabelRow], list[str], list[str]]:
    """Replace the numbers of classes by names; return rows, classes and notes.

    Looked for is a text file with a name a line, ``classes.txt``, ``label_list.txt``, ``obj.names``
    or similar, or a YAML file with ``names``, in the folder of the label file and in those around
    it. Where there is none, the names are the numbers. Numbers are from 0 on; from 1 on, if as many
    names as the highest number are there. If all ``classes`` are known, a longer list is another's.

    Raises:
        OpenQuestion: If there are several such files.
        ValueError: If the classes are no numbers, or the file that is named does not fit.
    """
    numbers = {*classes}.union(*(row.labels for row in rows))
    if others := [number for number in numbers if not number.strip().isdecimal()]:
        raise ValueError(
            f'{source.path} has names of classes, such as {printable(min(others))!r}: leave out '
            '`class_names`'
        )
    used = {*map(int, numbers)}
    names, notes = _find_names(source, used, bool(classes))
    first = int(len(names) == max(used, default=-1))
    if first:
        notes = [*notes, f'the classes are numbered from 1 on: 1 is {printable(names[0])}']
    named = [
        row._replace(labels={names[int(k) - first]: v for k, v in row.labels.items()})
        for row in rows
    ]
    return named, list(names), notes


def is_class_list(path: Path) -> bool:
    """Whether a file may have the names of classes, by its own name."""
    return bool(_FILES.fullmatch(path.name)) and path.is_file()


def refuse_repeated(names: Sequence[str], path: Path) -> None:
    """Raise ``ValueError`` if two classes have one name, blanks around it apart."""
    if repeated := [name for name, count in Counter(map(str.strip, names)).items() if count > 1]:
        raise ValueError(
            f'{path}: several of its {len(names)} classes have the name {printable(repeated[0])!r}:'
            ' give each its own'
        )


def _find_names(
    source: LabelSource, used: set[int], is_complete: bool
) -> tuple[tuple[str, ...], list[str]]:
    number = max(used, default=-1) + 1

    def fits(names: tuple[str, ...]) -> bool:
        if len(names) == number - 1:  # they are numbered from 1 on
            return 0 not in used
        return len(names) == number or (len(names) > number and not is_complete)

    data, answers = source.images.data, source.answers
    if answers.class_names is not None:
        path = data / answers.class_names
        if not fits(names := _read(path, answers)):
            raise ValueError(
                f'{path} has {counted(len(names), "name")}, and the numbers of classes go '
                f'up to {number - 1}'
            )
        refuse_repeated(names, path)
        return names, []
    folder = source.path if source.suffix == FOLDER else source.path.parent
    lists = {
        path: _read(path, answers)
        for each in (folder, *folder.parents)
        if data in (each, *each.parents)
        for path in sorted(each.iterdir())
        if is_class_list(path) and path != source.path
    }
    found = {path: names for path, names in lists.items() if fits(names)}
    if len(set(found.values())) > 1:
        raise OpenQuestion(
            'class_names',
            f'{source.path} numbers {counted(number, "class")}, and several files may have their '
            'names.',
            {
                str(k): f'{counted(len(v), "name")}: {printable(", ".join(v[:3]))}'
                for k, v in found.items()
            },
        )
    for path, names in found.items():
        refuse_repeated(names, path)
        return names, [f'names of the classes from {path}']
    others = ', '.join(f'{path} has {len(names):,}' for path, names in lists.items() if names)
    return tuple(map(str, range(number))), [
        f'{source.path} numbers {counted(number, "class")}, and there is no list of so many '
        f'names, such as classes.txt{f" ({others})" if others else ""}: the names are the numbers; '
        '`class_names` names a list'
    ]


def _read(path: Path, answers: Answers) -> tuple[str, ...]:
    """Return the names in a file, without a header and the numbers that lines may begin with."""
    text = read_text(path, answers.encoding)
    if path.suffix in ('.yaml', '.yml', '.json'):
        return _of_yaml(text, path.suffix == '.json')
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for rows in (lines, lines[1:]):
        found = [match for match in map(_NUMBERED.fullmatch, rows) if match]
        first = int(found[0][1]) if found else 0
        numbers = [*range(first, first + len(rows))]
        if found and first in (0, 1) and [int(match[1]) for match in found] == numbers:
            return tuple(match[3] for match in found)
    return tuple(lines)


def _of_yaml(text: str, is_json: bool) -> tuple[str, ...]:
    """Return ``names``, or all of JSON: a list, or an object by number or by name; else nothing."""
    try:
        content = yaml.BaseLoader(text).get_single_data()  # texts: no, yes and 01 are names
    except (yaml.YAMLError, ValueError, RecursionError):  # another program's file perhaps
        return ()
    whole = content if is_json else None
    names = content.get('names', whole) if isinstance(content, dict) else whole
    if isinstance(names, dict):
        numbers = [*map(str, range(len(names)))]
        if all(isinstance(each, str) for each in names.values()) and names.keys() != {*numbers}:
            names = {number: name for name, number in names.items()}
        names = [names[each] for each in numbers] if names.keys() == {*numbers} else None
    return tuple(map(str, names)) if isinstance(names, list) else ()
