"""Files that run code when something unpickles them without care: they make a marker file."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import torch


class MakesMarker:
    """Unpickled, it opens a file for writing."""

    def __init__(self, marker: Path):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, 'w')


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def archive(content) -> bytes:
    """Return the file that torch.save makes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _legacy(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def hostile_checkpoints(marker: Path) -> dict[str, bytes]:
    """Return files for what reads checkpoints: by the place and the format of the payload."""
    evil = MakesMarker(marker)
    state = dict(state_dict=dict(weight=torch.ones(1)), meta=dict(seed=0, epoch=1, iter=1))
    files = {
        'alone': archive(evil),
        'weight': archive(dict(state, state_dict=dict(weight=evil))),
        'meta': archive(dict(state, meta=dict(cfg=evil))),
        'optimizer': archive(dict(state, optimizer=dict(state=evil, param_groups=[]))),
        'message_hub': archive(dict(state, message_hub=dict(log_scalars=evil))),
        'ema': archive(dict(state, ema_state_dict=dict(steps=evil))),
        'legacy': _legacy(dict(state, optimizer=evil)),
        'array of objects': archive(dict(state, meta=np.array([evil], dtype=object))),
        **{f'pickle {n}': pickle.dumps(dict(state_dict=evil), protocol=n) for n in (0, 2, 4, 5)},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:  # what torch.package and others look for
        file.writestr('archive/data.pkl', pickle.dumps(evil))
        file.writestr('archive/version', '3\n')
        file.writestr('archive/byteorder', 'little')
    files['made by hand'] = buffer.getvalue()
    return files


def hostile_predictions(marker: Path) -> dict[str, bytes]:
    """Return files for what reads the dumps of a test."""
    evil = MakesMarker(marker)
    good = dict(pred_score=torch.tensor([0.5, 0.5]), gt_label=torch.tensor([0]))
    contents = dict(
        alone=evil,
        sample=[good, evil],
        score=[dict(good, pred_score=evil)],
        path=[dict(good, img_path=evil)],
        objects=[dict(good, pred_score=np.array([evil], dtype=object))],
    )
    return {
        f'{name} {protocol}': pickle.dumps(content, protocol=protocol)
        for name, content in contents.items()
        for protocol in (0, 2, 5)
    }
