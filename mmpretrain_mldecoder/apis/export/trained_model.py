"""A model as the test tool has it, with what its checkpoint knows about the classes."""

from dataclasses import dataclass

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import load_checkpoint
from mmpretrain.apis import get_model

from ...engine.config_check import explained
from ..inference.class_names import class_names
from ..thresholds.stored_thresholds import stored_thresholds


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
        ValueError: If the model cannot be built (``ConfigMistake``), if no class names are found,
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
