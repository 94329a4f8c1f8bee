"""What only looks like weights: files of other formats, named for what they are, with the fix.

Only first bytes, endings and the names inside an archive are looked at; nothing is unpickled.
"""

from contextlib import suppress
from pathlib import Path, PurePosixPath

from ..fileio.files import STAND_INS
from ..fileio.near_names import near_names

IN_PARTS = (
    'parts that torch.distributed (FSDP) has cut for each process. Save the whole in the program '
    'that made it: from torch.distributed.checkpoint.state_dict import StateDictOptions, '
    'get_model_state_dict; torch.save(get_model_state_dict(model, '
    'options=StateDictOptions(full_state_dict=True)), "weights.pth")'
)
_UNPACK = 'Unpack it, and name the file of weights inside'
_CONVERT = 'Convert it to PyTorch with the tools of its framework: it holds no names of torch'
_PADDLE = 'Name the .pdparams beside it, or save one with paddle.save(layer.state_dict(), path)'

_PICKLE = b'\x80'
_OLD_TORCH = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'  # the magic number before torch 1.6

_PADDLE_MODEL = ('an inference model of PaddlePaddle', _PADDLE)
# First bytes -> what the file is, and what to do.
_HEADS = {**STAND_INS, b'\x89HDF\r\n\x1a\n': ('HDF5, as Keras writes it', _CONVERT)}
_ENDINGS = {
    ('.onnx',): ('an ONNX graph', 'Name the checkpoint that it was exported from'),
    ('.pdiparams', '.pdiparams.info', '.pdmodel'): _PADDLE_MODEL,
    ('.pdopt', '.pdstates'): ("the state of PaddlePaddle's optimizer, not weights", _PADDLE),
}
_WEIGHTS = ('.pth', '.pt', '.ckpt', '.bin', '.safetensors', '.pdparams', '.tar')


def check_is_weights(path: Path, head: bytes) -> None:
    """Raise ``ValueError`` for a file of another format, by its first bytes (265) or its ending."""
    found = next((kind for start, kind in _HEADS.items() if head.startswith(start)), None)
    # A tensor of one: three versions and levels, all 0, and a description that begins with a type.
    if head[:16] == bytes(16) and head[20:21] == b'\x08':
        found = _PADDLE_MODEL
    if head[257:262] == b'ustar':
        found = ('packed by tar', _UNPACK)
    is_paddle = path.suffix in ('.pdopt', '.pdstates')
    if found is None and (is_paddle or not head.startswith((b'PK', _PICKLE))):
        name = path.name.lower()
        found = next((kind for ends, kind in _ENDINGS.items() if name.endswith(ends)), None)
    if found is None and head.lstrip().startswith((b'{', b'[')):
        found = ('JSON text', 'Name the file of weights that lies beside it')
        if b'weight_map' in head or path.name.endswith('.index.json'):
            fix = 'Join the parts: safetensors.torch.save_file(model.state_dict(), "weights.pth")'
            found = ('the index of a checkpoint in several files', fix)
    if found is not None:
        what, fix = found
        raise ValueError(f'{path} is {what}. {fix[0].upper()}{fix[1:]}.')


def check_is_torch_archive(path: Path, names: list[str]) -> None:
    """Raise ``ValueError`` for a zip archive, of which these are the names, that is none of torch.

    TorchScript and ``torch.export`` write such archives too, and ``torch.load`` would refuse them
    in words of its own.
    """
    inner = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in names}
    found = None
    if 'constants.pkl' in inner or any(name.startswith('code/') for name in inner):
        fix = 'torch.save(torch.jit.load(path).state_dict(), "weights.pth")'
        found = ('TorchScript', f'Save its weights: {fix}')
    elif 'archive_format' in inner or any('exported_program' in name for name in names):
        fix = 'torch.save(torch.export.load(path).state_dict, "weights.pth")'
        found = ('a program of torch.export', f'Save its weights: {fix}')
    elif not any(name.endswith('data.pkl') for name in names):
        held = [name for name in names if name.endswith(_WEIGHTS)][:3]
        what = f' around {", ".join(held)}' if held else ''
        found = (f'a zip archive{what}, which torch.save did not write', _UNPACK)
    if found is not None:
        raise ValueError(f'{path} is {found[0]}. {found[1]}.')


def missing_file(path: Path) -> str:
    """Return what to say where no file of weights is, such as for a folder."""
    folder, names = path if path.is_dir() else path.parent, []
    with suppress(OSError):
        names = sorted(one.name for one in folder.iterdir())
    if folder != path:
        return f'no checkpoint at {path}{near_names(path.name, names)}'
    if '.metadata' in names or any(name.endswith('.distcp') for name in names):
        fix = 'python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER weights.pth'
        return f'{path} is a checkpoint in parts of torch.distributed. Join them: {fix}'
    held = [name for name in names if name.endswith(_WEIGHTS)]
    hint = f'. Name a file in it: {", ".join(held[-5:])}' if held else ', without weights in it'
    return f'no checkpoint at {path} (a folder){hint}'


def format_of(path: Path, head: bytes) -> str:
    """Return ``'safetensors'``, ``'paddle'`` or ``'torch'``, by the content rather than the ending.

    A pickle without torch's magic number is Paddle's. Of what begins as none of them the ending
    decides, so that a damaged file is called what it was to be.
    """
    if head[8:9] == b'{' and head[5:8] == bytes(3):  # after the length of the header
        return 'safetensors'
    if head.startswith((b'PK', _OLD_TORCH)):
        return 'torch'
    endings = {'.safetensors': 'safetensors', '.pdparams': 'paddle', '.pdema': 'paddle'}
    by_ending = endings.get(path.suffix, 'torch')
    if head.startswith(_PICKLE) and by_ending != 'safetensors':
        return 'paddle' if len(head) > len(_OLD_TORCH) else by_ending
    return by_ending
