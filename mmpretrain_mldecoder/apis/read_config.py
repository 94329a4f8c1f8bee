"""Read a config file, with an error that names it."""

import os

from mmengine.config import Config


def read_config(path: str | os.PathLike) -> Config:
    """Read a config as MMEngine does. It is a program, and is run.

    Args:
        path (str | PathLike): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: Whatever else the file raises, in one line.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'no config at {path}')
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is Python, and may raise anything
        text = ' '.join(str(error).split()).partition(', the current sys.path is')[0]
        raise ValueError(f'{path} cannot be read: {type(error).__name__}: {text}') from error
