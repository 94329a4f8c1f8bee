"""Arguments of datasets: those of other frameworks, keys, image folders and class names."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ..fileio.near_names import near_names

# Arguments of MMDetection's datasets, and of older ones, that have another name or place here.
_OTHER_ARGUMENTS = dict(
    **dict.fromkeys(('img_prefix', 'img_dir', 'image_dir'), 'write data_prefix={value!r}'),
    filter_empty_gt='write keep_unlabelled={other}, or filter_cfg=dict(filter_empty_gt={value!r})',
    min_size='write filter_cfg=dict(min_size={value!r})',
    CLASSES='write classes={value!r}',
    **dict.fromkeys(('backend_args', 'file_client_args'), 'give it to the loader in the pipeline'),
    **dict.fromkeys(('seg_prefix', 'proposal_file', 'PALETTE'), 'labels need none, remove it'),
)


def refuse_other_arguments(kwargs: dict, name: str) -> None:
    """Remove other frameworks' arguments; a ``ValueError`` names what a set one is called here."""
    for argument in kwargs.keys() & _OTHER_ARGUMENTS:
        if (value := kwargs.pop(argument)) is not None:
            fix = _OTHER_ARGUMENTS[argument].format(value=value, other=not value)
            raise ValueError(f'{argument} is no argument of {name}: {fix}')


def check_keys(argument: str, given: Mapping | None, known: Collection[str]) -> None:
    """Raise ``ValueError`` with the near name for a key that an argument does not have."""
    for key in given or ():
        if key not in known:
            raise ValueError(
                f'{argument} has no key {key!r}{near_names(key, known)}. Its keys are: '
                f'{", ".join(known)}'
            )


def image_folder(data_prefix: str | Mapping | None) -> str:
    """Return the folder that ``data_prefix`` names; raise ``ValueError`` if it names two."""
    if not isinstance(data_prefix, Mapping):
        return data_prefix or ''
    check_keys('data_prefix', data_prefix, ('img_path', 'img'))
    folders = {folder or '' for folder in data_prefix.values()} or {''}
    if len(folders) > 1:
        raise ValueError(f'data_prefix has two folders of images, {data_prefix}: give one')
    return folders.pop()


def class_names(
    classes: Sequence[str] | str | None, metainfo: Mapping | None
) -> tuple[tuple[str, ...] | None, Mapping | None]:
    """Return the names that an argument or ``metainfo`` gives, and the rest of ``metainfo``."""
    given = dict(classes=classes)
    if isinstance(metainfo, Mapping):
        metainfo = dict(metainfo)
        for key in metainfo:
            if key.lower() in ('class', 'class_names'):
                raise ValueError(
                    f'metainfo.{key} names no classes: write metainfo=dict(classes=...)'
                )
        upper = metainfo.pop('CLASSES', None)
        given |= {'metainfo.classes': metainfo.pop('classes', None), 'metainfo.CLASSES': upper}
    given = {key: names for key, names in given.items() if names is not None}
    for key, names in given.items():
        given[key] = read_class_file(names) if isinstance(names, str) else tuple(names)
        if not given[key]:
            raise ValueError(f'`{key}` is empty: leave it out to use all categories')
    if len(set(given.values())) > 1:
        raise ValueError(f'{" and ".join(given)} are different names: give one of them')
    return next(iter(given.values()), None), metainfo


def read_class_file(path: str | Path) -> tuple[str, ...]:
    """Return the class names of a file with one per line; ``~`` is the user's home.

    A UTF-8 byte order mark and empty lines at the end, as editors leave them, are ignored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not UTF-8, has no name, or has an empty line between names.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        names = [name.strip() for name in str(path).split(',')]
        raise FileNotFoundError(
            f'{path} is not a file: `classes` is a list of names, or a file with one name per '
            f'line. If these are the names, write classes={names}'
        )
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} is not UTF-8 (byte {error.start}): write the class names with '
            "encoding='utf-8'."
        ) from error
    names = text.rstrip('\n').split('\n')
    if names == ['']:
        raise ValueError(f'{path} has no class names: write one per line.')
    if '' in names:
        line = names.index('') + 1
        raise ValueError(f'{path}: line {line} is empty: write one class name per line.')
    return tuple(names)
