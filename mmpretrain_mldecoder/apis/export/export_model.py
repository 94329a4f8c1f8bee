"""Write a classifier to one file that is enough to predict, and only if its scores agree."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import load_checkpoint
from mmpretrain.apis import get_model
from torch import Tensor

from ...engine.checks import explained
from ...fileio.atomic_write import atomic_write
from ..inference.class_names import class_names
from ..inference.onnx_model import activation_of, check_onnx_packages
from ..thresholds.stored_thresholds import stored_thresholds
from .export_images import calibration_batches, check_test_data, photos_to_compare
from .formats import (
    Precision,
    input_entry,
    output_entry,
    read_onnx,
    read_torch_archive,
    source_entry,
    write_onnx,
    write_torch_archive,
)
from .parity import Export, check_metric, check_parity, first_line
from .resize_rule import resize_rule


def export_model(
    config: Config,
    checkpoint: str,
    out: str | os.PathLike,
    *,
    dynamic_size: bool = False,
    precision: Precision = 'fp32',
    calibration: str | os.PathLike | None = None,
    sigmoid: bool = False,
    photos: Sequence[str | os.PathLike] = (),
    tolerance: float | None = None,
    max_map_drop: float = 1.0,
) -> Export:
    """Export a checkpoint, read the file back, and compare its scores with torch's.

    The file takes any batch of what the config's test pipeline packs; the normalisation is inside.
    Compared are the scores of real photos in batches of 1, 2 and 7. The file gets its name only if
    they agree.

    Args:
        config (Config): Of the model.
        checkpoint (str): Its file, or a published name such as ``'miil://tresnet_m_coco'``.
        out (str | PathLike): ``.onnx``, or ``.pt2`` for an archive of ``torch.export``.
        dynamic_size (bool): Whether height and width are free. Defaults to False: they are those
            of the packed photos.
        precision (str): ``'fp32'``, ``'fp16'`` or ``'int8'``; only ONNX has the last two. Defaults
            to ``'fp32'``.
        calibration (str | PathLike, optional): Folder of photos that int8 is calibrated on.
        sigmoid (bool): Whether the file gives scores instead of logits. Defaults to False.
        photos (Sequence[str | PathLike]): Files, folders or globs to compare on. Defaults to the
            first photos of the config's test data.
        tolerance (float, optional): How far a score may be from torch's. Defaults to None, which
            means ``TOLERANCES``. For int8 it is the metric that counts.
        max_map_drop (float): For int8, by how many points the metric on the config's test data may
            fall. Defaults to 1.0.

    Returns:
        Export: What was seen.

    Raises:
        ParityError: If the scores are too far apart, or the metric falls too far.
        FileNotFoundError: If there are no photos.
        ValueError: If the options do not go together, or the model is none that can be exported.
        ModuleNotFoundError: If a package for ONNX is not installed.
        RuntimeError: If the model cannot be exported.
    """
    out = Path(out)
    _check_options(out, precision, calibration, tolerance)
    if max_map_drop < 0 or (tolerance is not None and not tolerance > 0):
        raise ValueError(
            f'a tolerance must be above 0 and a drop at least 0, but they are {tolerance} and '
            f'{max_map_drop}'
        )
    if precision == 'int8':  # before the minutes that the rest takes
        check_test_data(config)
    model = load_trained_model(config, checkpoint)
    activation = activation_of(model.network)
    if sigmoid and activation != 'sigmoid':
        raise ValueError(
            f'a {type(model.network.head).__name__} predicts one class: its scores are the softmax '
            'of the logits, and --sigmoid would give others'
        )
    groups = photos_to_compare(config, photos, dynamic_size)
    export = Export(
        out,
        dict(
            classes=model.classes,
            resize=resize_rule(config.test_dataloader.dataset.pipeline),
            input=input_entry(groups[0], dynamic_size),
            output=output_entry(activation, sigmoid),
            source=source_entry(config.filename, checkpoint, precision),
            **(dict(thresholds=model.thresholds) if model.thresholds else {}),
        ),
    )
    common = dict(metadata=export.metadata, dynamic_size=dynamic_size, sigmoid=sigmoid)
    size = None if dynamic_size else groups[0].shape[1:]
    with atomic_write(out) as temporary:
        try:
            if out.suffix == '.pt2':
                write_torch_archive(model.network, groups[0], temporary, **common)
                run, _ = read_torch_archive(temporary)
            else:
                batches = (
                    () if precision != 'int8' else calibration_batches(config, calibration, size)
                )
                write_onnx(
                    model.network,
                    groups[0],
                    temporary,
                    **common,
                    precision=precision,
                    calibration=batches,
                )
                run = read_onnx(temporary)
        except (FileNotFoundError, ValueError):  # of the calibration photos
            raise
        except Exception as error:  # of torch's exporter, or of ONNX Runtime: any
            raise RuntimeError(f'the model cannot be exported: {first_line(error)}') from error
        export.num_bytes = temporary.stat().st_size
        scores_of = _to_scores(run, export.metadata['output']['then'])
        check_parity(export, model.network, groups, scores_of, tolerance)
        if precision == 'int8':
            check_metric(export, config, model.network, scores_of, max_map_drop)
    export.written = True
    return export


def _check_options(
    out: Path, precision: str, calibration: str | os.PathLike | None, tolerance: float | None
) -> None:
    if out.suffix not in ('.onnx', '.pt2'):
        raise ValueError(f'the file must end in .onnx or .pt2, but is {out}')
    if out.suffix == '.onnx':
        check_onnx_packages('the export to ONNX')
    elif precision != 'fp32':
        raise ValueError(f'{precision} is for ONNX: an archive of torch.export (.pt2) is fp32')
    if precision == 'int8' and calibration is None:
        raise ValueError('int8 needs a folder of photos to calibrate on')
    if precision == 'int8' and tolerance is not None:
        raise ValueError('int8 is judged by the metric (max_map_drop), not by a tolerance')


def _to_scores(run: Callable[[Tensor], Tensor], then: str | None) -> Callable[[Tensor], Tensor]:
    if then == 'sigmoid':
        return lambda images: run(images).sigmoid()
    if then == 'softmax':
        return lambda images: run(images).softmax(dim=1)
    return run


@dataclass(frozen=True)
class TrainedModel:
    """A model with its weights.

    Attributes:
        network (BaseModel): On the CPU, in evaluation mode.
        classes (list[str]): Their names.
        thresholds (dict, optional): Those that the checkpoint has: ``values``, one float a class,
            and how they were found. None if it has none.
    """

    network: BaseModel
    classes: list[str]
    thresholds: dict | None


def load_trained_model(config: Config, checkpoint: str) -> TrainedModel:
    """Build the config's model on the CPU and fill it exactly.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        RuntimeError: If the checkpoint belongs to another model.
        ValueError: If the model cannot be built (``ConfigError``), if no class names are found,
            or if the thresholds are of other classes.
    """
    with explained(config, 'model', 'data_preprocessor'):
        network = get_model(config, pretrained=False, device='cpu')
    loaded = load_checkpoint(network, checkpoint, map_location='cpu', strict=True, logger='silent')
    network.eval()
    classes = class_names(config, loaded, network)
    thresholds = (loaded.get('meta') or {}).get('thresholds')
    if thresholds is not None:
        values = stored_thresholds(loaded['meta'], classes).tolist()
        thresholds = dict(values=values) | {
            key: value for key, value in thresholds.items() if key not in ('classes', 'values')
        }
    return TrainedModel(network, classes, thresholds)
