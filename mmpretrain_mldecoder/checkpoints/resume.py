"""Checkpoints of a run: the best, the last, and the one to resume from."""

import logging
import re
import zipfile
from contextlib import suppress
from pathlib import Path

from mmengine.logging import print_log

from ..fileio.atomic_write import write_file
from .load import is_archive


def find_resume_checkpoint(work_dir: str | Path) -> str | None:
    """Find the newest complete checkpoint of a run, however it ended.

    It is the one that the file ``last_checkpoint`` names, also if the folder was moved since;
    without it the ``epoch_N.pth``, ``iter_N.pth`` or (in the middle of an epoch)
    ``epoch_N_iter_M.pth`` with the highest numbers; if it is damaged, the one before it, and a line
    in the log. Files are compared with their checksums (3 s for each GB), which torch does not do.

    Returns the path, None if there is none; raises ``ValueError`` if each one is damaged.
    """
    damaged: list[str] = []
    for path in _candidates(Path(work_dir)):
        damage = find_damage(path)
        if damage is None:
            if damaged:
                print_log(f'Resuming from {path} instead.', 'current', logging.WARNING)
            return str(path)
        print_log(f'{damage}. It is skipped.', 'current', logging.WARNING)
        damaged.append(path.name)
    if damaged:
        raise ValueError(
            f'{work_dir} holds no complete checkpoint to resume from, damaged: '
            f'{", ".join(damaged)}. Remove what is damaged to start from the beginning'
        )
    return None


def best_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the newest ``best_<metric>_epoch_<n>.pth`` of a training, None if there is none."""
    found = {
        int(match[1]): path
        for path in Path(work_dir).glob('best_*.pth')
        if (match := re.search(r'_epoch_(\d+)\.pth$', path.name))
    }
    return found[max(found)] if found else None


def name_last_checkpoint(work_dir: str | Path, checkpoint: str | Path) -> None:
    """Have ``last_checkpoint`` name a file, in one step; the file must be complete by now."""
    write_file(Path(work_dir, 'last_checkpoint'), str(checkpoint))


def find_damage(path: str | Path) -> str | None:
    """Return what is wrong with a file, a sentence without its full stop; None if nothing is."""
    if not is_archive(path):
        return f'{path} is truncated, or not a checkpoint: it is no archive of torch.save'
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except Exception as error:  # damaged bytes raise anything
        return f'{path} is damaged: {error}'
    return None if part is None else f'{path} is damaged: the checksum of {part} is wrong'


def _candidates(work_dir: Path) -> list[Path]:
    """Return the checkpoints of a run, in the order in which they are to be tried."""
    named = _named_last(work_dir)
    folders = [work_dir] if named is None else [named.parent, work_dir]
    numbered = {}
    for path in (path for folder in dict.fromkeys(folders) for path in folder.glob('*.pth')):
        match = re.fullmatch(r'epoch_(\d+)(?:_iter_(\d+))?|iter_(\d+)', path.stem)
        # in a training by iterations signals leave epoch_0_iter_N, see PreemptionHook
        if match and path.is_file():
            numbered[path] = (int(match[1] or 0), int(match[2] or match[3] or 0))
    ordered = sorted(numbered, key=numbered.__getitem__, reverse=True)
    if named is None:
        return ordered
    # Those with a higher number come last: they may be of an earlier run in the same folder.
    last = numbered.get(named, (float('inf'), 0))
    before = [path for path in ordered if numbered[path] <= last and path != named]
    after = [path for path in ordered if numbered[path] > last]
    return [named, *before, *after]


def _named_last(work_dir: Path) -> Path | None:
    """Return the file that ``last_checkpoint`` names, if it is there."""
    pointer = work_dir / 'last_checkpoint'
    if not pointer.is_file():
        return None
    name = pointer.read_bytes()[:4096].decode(errors='replace').strip('\0 \n')
    for path in (work_dir / Path(name).name, Path(name)):
        with suppress(OSError):  # of garbage, as a name that is too long
            if name and path.is_file():
                return path
    return None
