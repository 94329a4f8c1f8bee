"""Predict images with an exported model: python onnx_predict.py model.onnx image.jpg ..."""

import argparse
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def opencv_bilinear(image: Image.Image, size: list[int]) -> Image.Image:
    """Resize with the exact pixels of OpenCV's INTER_LINEAR: no antialias, weights of 11 bits."""
    pixels = np.asarray(image).astype(int)
    for axis, new, old in ((1, size[0], image.width), (0, size[1], image.height)):
        at = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32).clip(0, old - 1)
        share = np.rint(at % 1 * 2048).astype(int).reshape(-1, *[1] * (2 - axis))
        low, high = (pixels.take(i.astype(int), axis) for i in (at, np.minimum(at + 1, old - 1)))
        low, high = low * (2048 - share), high * share
        pixels = low + high >> 4 if axis else (low >> 16) + (high >> 16) + 2 >> 2
    return Image.fromarray(pixels.astype(np.uint8))


def prepare(path: str, about: dict) -> np.ndarray:
    """Load an image upright, resized as in the test pipeline: BGR, (1, 3, H, W)."""
    image = ImageOps.exif_transpose(Image.open(path)).convert('RGB')
    for step in about['resize']:
        if step['op'] == 'center_crop':
            size = [min(step['width'], image.width), min(step['height'], image.height)]
            left, top = round((image.width - size[0]) / 2), round((image.height - size[1]) / 2)
            image = image.crop((left, top, left + size[0], top + size[1]))
            continue
        size = [step.get('width'), step.get('height')]
        if step['op'] == 'short_side':
            near, new, old = step['rounding'] == 'nearest', step['size'], min(image.size)
            size = [round(side * (new / old)) if near else side * new // old for side in image.size]
        pillow = Image.Resampling[step['filter'].upper()]
        image = image.resize(size, pillow) if step['antialias'] else opencv_bilinear(image, size)
        if step.get('even'):
            image = image.crop((0, 0, size[0] // 2 * 2, size[1] // 2 * 2))
    return np.asarray(image, about['input']['dtype'])[None, ..., ::-1].transpose(0, 3, 1, 2)


parser = argparse.ArgumentParser()
parser.add_argument('model')
parser.add_argument('images', nargs='+')
parser.add_argument('--thr', default='0.5', help='lowest score, or tuned: one per class')
args = parser.parse_args()
session = onnxruntime.InferenceSession(args.model, providers=['CPUExecutionProvider'])
about = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
if isinstance(about['resize'], str) or (args.thr == 'tuned' and 'thresholds' not in about):
    parser.error(f'resize: {about["resize"]}; thresholds: {about.get("thresholds", "none")}')
thr = about['thresholds']['values'] if args.thr == 'tuned' else float(args.thr)
for path in args.images:
    (scores,) = session.run(None, {'image': prepare(path, about)})[0]
    total = dict(sigmoid=np.logaddexp(0, scores), softmax=np.logaddexp.reduce(scores))
    if then := about['output']['then']:
        scores = np.exp(scores - total[then])
    best = [i for i in np.argsort(-scores, kind='stable') if (scores >= thr)[i]]
    print(path, *(f'{about["classes"][i]} {scores[i]:.4f}' for i in best), sep='  ')
