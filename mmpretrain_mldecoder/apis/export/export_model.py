"""Export of a classifier to one file that is enough to predict, if its scores agree."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmpretrain.apis import get_model
from torch import Tensor

from ...checkpoints.published import checkpoint_identity
from ...engine.checks.config_error import explained, read_config
from ...errors import RunError
from ...fileio.atomic_write import atomic_write
from ...version import __version__
from ..inference.onnx_model import WholeNetwork, activation_of, check_onnx_packages, first_line
from ..thresholds import stored_thresholds
from ..trained_model import load_trained
from . import formats, model_input
from .parity import Export, check_metric, check_parity

_ACTIVATIONS = dict(sigmoid=torch.sigmoid, softmax=partial(torch.softmax, dim=1))


def export_model(
    config: Config,
    checkpoint: str,
    out: str | os.PathLike,
    *,
    dynamic_size: bool = False,
    precision: formats.Precision = 'fp32',
    calibration: str | os.PathLike | None = None,
    sigmoid: bool = False,
    photos: Sequence[str | os.PathLike] = (),
    tolerance: float | None = None,
    max_map_drop: float = 1.0,
    float_input: bool = False,
    opset: int | None = None,
) -> Export:
    """Export a checkpoint, read the file back, and compare its scores with torch's.

    The file takes any batch of what the config's test pipeline packs; the normalisation is inside,
    but with ``float_input``.
    Scores of real photos are compared in batches of 1, 2 and 7. The file gets its name, and
    replaces an older one, only if they agree.

    Args:
        config (Config): Of the model.
        checkpoint (str): Its file, or a published name such as ``'miil://tresnet_m_coco'``.
        out (str | PathLike): ``.onnx``, or ``.pt2`` for an archive of ``torch.export``.
        dynamic_size (bool): Whether height and width are free. Defaults to False: they are those
            of the packed photos.
        precision (str): ``'fp32'`` (default), or for ONNX ``'fp16'`` or ``'int8'``.
        calibration (str | PathLike, optional): Folder of photos that int8 is calibrated on.
        sigmoid (bool): Whether the file gives scores instead of logits. Defaults to False.
        photos (Sequence[str | PathLike]): Files, folders or globs to compare on. Defaults to the
            first photos of the config's test data.
        tolerance (float, optional): How far a score may be from torch's. Defaults to
            ``TOLERANCES``; int8 has none.
        max_map_drop (float): How many points int8 may lose in the metric on the config's test
            data. Defaults to 1.0.
        float_input (bool): Whether the file takes normalised ``float32`` instead of the packed
            photo; the metadata has mean, std and the order of the channels. Defaults to False.
        opset (int, optional): For ONNX, version of its operators, from 17 on; :data:`RUNTIMES`
            names the first ONNX Runtime for each. Defaults to that of torch's exporter.

    Returns:
        Export: The comparison; :func:`export_report` formats it.

    Raises:
        ParityError: If the scores are too far apart, or the metric falls too far.
        FileNotFoundError: If there are no photos.
        ValueError: If the options do not go together, or the model cannot be exported.
        ModuleNotFoundError: If a package for ONNX is not installed.
        RunError: If torch or ONNX Runtime cannot export the model.
    """
    out, config = Path(out), read_config(config)
    _check_options(out, precision, calibration, tolerance, max_map_drop, opset)
    if precision == 'int8':  # before the minutes that the rest takes
        model_input.check_test_data(config)
    with explained(config, 'model', 'data_preprocessor'):
        model = get_model(config, pretrained=False, device='cpu')
    classes, meta = load_trained(model, config, checkpoint)
    activation = activation_of(model)
    if sigmoid and activation != 'sigmoid':
        kind = f'a {type(model.head).__name__} predicts one class'
        raise ValueError(f'{kind}: its scores are a softmax, and --sigmoid would give others')
    groups = model_input.photos_to_compare(config, photos, dynamic_size)

    def prepare(images: Tensor) -> Tensor:
        return model.data_preprocessor(dict(inputs=images))['inputs'] if float_input else images

    normalisation = model_input.normalisation_of(model, groups[0]) if float_input else None
    metadata = dict(
        classes=classes,
        resize=model_input.resize_rule(config.test_dataloader.dataset.pipeline),
        input=model_input.input_entry(groups[0], dynamic_size, normalisation),
        output=dict(name='scores', then=None) if sigmoid else dict(name='logits', then=activation),
        source=dict(
            config=config.filename and Path(config.filename).name,
            **checkpoint_identity(checkpoint),
            precision=precision,
            mmpretrain_mldecoder=__version__,
        ),
    )
    if meta.get('thresholds') is not None:
        values = stored_thresholds(meta, classes).tolist()
        about = {k: v for k, v in meta['thresholds'].items() if k not in ('classes', 'values')}
        metadata['thresholds'] = dict(values=values, **about)
    size = None if dynamic_size else groups[0].shape[1:]
    batches = model_input.calibration_batches(config, calibration, size) if calibration else ()
    export = Export(out, metadata)
    network = WholeNetwork(model, sigmoid, normalised=float_input)
    common = (network, prepare(groups[0]), metadata, dynamic_size)
    with atomic_write(out) as temporary:
        try:
            if out.suffix == '.pt2':
                formats.write_torch_archive(temporary, *common)
                run, _ = formats.read_torch_archive(temporary)
            else:
                formats.write_onnx(temporary, *common, opset, precision, map(prepare, batches))
                run = formats.read_onnx(temporary)
        except RunError:
            raise
        except Exception as error:  # of torch's exporter, or of ONNX Runtime: any
            raise RunError(f'the model cannot be exported: {first_line(error)}') from error
        export.num_bytes = temporary.stat().st_size

        def scores_of(images: Tensor) -> Tensor:
            output = run(prepare(images))
            return output if sigmoid else _ACTIVATIONS[activation](output)

        check_parity(export, model, groups, scores_of, tolerance)
        if precision == 'int8':
            check_metric(export, config, model, scores_of, max_map_drop)
    export.written = True
    return export


def _check_options(
    out: Path,
    precision: str,
    calibration: str | os.PathLike | None,
    tolerance: float | None,
    max_map_drop: float,
    opset: int | None,
) -> None:
    if out.suffix not in ('.onnx', '.pt2'):
        raise ValueError(f'the file must end in .onnx or .pt2, but is {out}')
    if out.suffix == '.onnx':
        check_onnx_packages('the export to ONNX')
    elif precision != 'fp32':
        raise ValueError(f'{precision} is for ONNX: an archive of torch.export (.pt2) is fp32')
    if opset is not None and (out.suffix != '.onnx' or opset not in formats.RUNTIMES):
        low, high = min(formats.RUNTIMES), max(formats.RUNTIMES)
        raise ValueError(f'the opset is from {low} to {high}, for .onnx: not {opset} for {out}')
    if (precision == 'int8') != (calibration is not None):
        raise ValueError('int8 needs a folder of photos to calibrate on, and nothing else does')
    if precision == 'int8' and tolerance is not None:
        raise ValueError('int8 is judged by the metric (max_map_drop), not by a tolerance')
    if max_map_drop < 0 or (tolerance is not None and not tolerance > 0):
        got = f'they are {tolerance} and {max_map_drop}'
        raise ValueError(f'a tolerance must be above 0 and a drop at least 0, but {got}')
