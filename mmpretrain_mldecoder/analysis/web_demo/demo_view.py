"""Predictions and overlays of the web demo; works without Gradio."""

import cv2
import numpy as np

from ...apis.inference.multi_label_inferencer import MultiLabelInferencer
from ...datasets.decode_image import check_header
from ...datasets.image_files import read_image_file
from ...errors import UnreadableImageError
from ...models.attention import attention_kind
from ...visualization.attention_figure import attention_overlay, attention_title, times_average

MAX_LABELS = 100  # best labels per image that are kept, each with its attention maps in memory
MAX_PIXELS = 50_000_000  # of an image; a file of a few kilobytes can unpack to gigabytes
SHOWN_SIDE = 640  # minimum pixels of the longer side of an overlay, so that small images are seen


def predict_photo(inferencer: MultiLabelInferencer, path: str) -> dict:
    """Run the network on a file, once for all thresholds; return the 100 best labels at ``thr=0``.

    The file is only ever decoded as an image: a list of other files or a pattern, which the
    inferencer would follow, could otherwise be uploaded to see what is on the server. If the model
    has attention, so has the prediction. Raises ``ValueError`` if the file is no image that can be
    read, or has more than 50 million pixels.
    """
    try:
        check_header(path, read_image_file(path), max_pixels=MAX_PIXELS)
        image = inferencer.pipeline.for_drawing(path)
    except UnreadableImageError as error:
        if error.code == 'too_large':
            message = f'This image has more than {MAX_PIXELS // 1_000_000} million pixels.'
            raise ValueError(message) from error
        raise ValueError('This file cannot be read as an image.') from error
    attention = attention_kind(inferencer.model) is not None
    return inferencer(image, thr=0.0, topk=MAX_LABELS, return_attention=attention)[0]


def attention_of(prediction: dict, label: str) -> tuple[np.ndarray, str]:
    """Return an overlay of where the model looked for a label, and its caption.

    The overlay is RGB ``uint8``, of at least 640 pixels on the longer side.
    """
    place = prediction['labels'].index(label)
    maps = prediction['attention'][place]  # (num_heads, H, W)
    weights = maps.mean(axis=0)
    height, width = prediction['seen'].shape[:2]
    scale = max(SHOWN_SIDE / max(height, width), 1)
    size = (round(width * scale), round(height * scale))
    overlay = attention_overlay(cv2.resize(prediction['seen'], size), weights)
    caption = (
        f'Bright: where the head looked for **{label}**. {attention_title(prediction)} on '
        f'{weights.shape[0]} × {weights.shape[1]} cells; the strongest has '
        f'{times_average(weights):.1f} times the weight of an average one. It is no proof of why '
        'the label was given.'
    )
    if others := prediction['shares_query_with'][place]:
        more = f' and {len(others) - 5} more' if len(others) > 5 else ''
        caption += f' The same query also answers for {", ".join(others[:5])}{more}.'
    return overlay, caption
