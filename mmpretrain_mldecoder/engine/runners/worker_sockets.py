"""Whether data loader workers can hand over their batches below the temporary folder."""

import os
import tempfile

from torch import multiprocessing

from ..config_check import ConfigMistake

# sun_path of Linux holds 108 bytes, the last of them zero; macOS' holds 104.
_LONGEST = 103 if os.uname().sysname == 'Darwin' else 107
_BELOW = len('/pymp-xxxxxxxx/listener-xxxxxxxx')  # what multiprocessing makes in the folder


def check_worker_sockets() -> None:
    """Refuse a temporary folder whose name leaves no room for the names of sockets.

    A worker sends the handles of its tensors through a Unix socket below ``tempfile.gettempdir()``.
    One whose name is too long cannot be made; the worker prints that and loses the batch, for which
    the training then waits for ever.

    Raises:
        ConfigMistake: If the name is too long.
    """
    folder = tempfile.gettempdir()
    length = len(os.fsencode(folder))
    if multiprocessing.get_sharing_strategy() == 'file_descriptor' and length > _LONGEST - _BELOW:
        raise ConfigMistake(
            f'the temporary folder {folder} has a name of {length} bytes, and the sockets of data '
            f'loader workers fit below one of at most {_LONGEST - _BELOW}. Set TMPDIR to a folder '
            'with a shorter name, such as /tmp, or num_workers to 0'
        )
