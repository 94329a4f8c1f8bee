"""Predict images with an exported model: python onnx_predict.py model.onnx image.jpg folder/ ...

Needs onnxruntime, numpy and Pillow; HEIC photos also pillow-heif. Images are read and resized as
in the training.
"""

import argparse
import collections
import importlib
import io
import json
import os
import sys

import numpy as np
import onnxruntime
from PIL import Image, UnidentifiedImageError

# Those that are read. Pillow knows more, for some of which it would start other programs.
FORMATS = """JPEG MPO PNG WEBP TIFF GIF BMP DIB PPM AVIF HEIF JPEG2000 JXL QOI ICO PCX PSD SGI DDS
TGA"""
PLUGINS = {'.heic': 'pillow-heif', '.avif': 'pillow-avif-plugin', '.jxl': 'pillow-jxl-plugin'}
TURNS = (None, 'FLIP_LEFT_RIGHT', 'ROTATE_180', 'FLIP_TOP_BOTTOM')
TURNS += ('TRANSPOSE', 'ROTATE_270', 'TRANSVERSE', 'ROTATE_90')
METADATA = ('thumbs.db', 'desktop.ini', '__macosx', '@eadir')

Image.init()
for package in PLUGINS.values():  # those that are installed
    try:
        plugin = importlib.import_module(package.removesuffix('-plugin').replace('-', '_'))
        getattr(plugin, 'register_heif_opener', lambda: None)()
    except ImportError:
        pass
KNOWN = [name for name in FORMATS.split() if name in Image.OPEN]
SUFFIXES = [s for s, name in Image.registered_extensions().items() if name in FORMATS.split()]


def find(folder: str, left_out: collections.Counter) -> list[str]:
    """List the images below a folder, through links, and count what is left out."""
    images, searched, starts = [], set(), [folder]
    while starts:
        for parent, folders, names in os.walk(starts.pop(0)):
            real = os.path.realpath(parent)
            if real in searched or os.path.realpath(folder).startswith(os.path.join(real, '')):
                folders.clear()
                continue
            searched.add(real)
            names, folders[:] = (
                [n for n in sorted(both) if n[0] != '.' and n.lower() not in METADATA]
                for both in (names, folders)
            )
            paths = [os.path.join(parent, name) for name in folders]
            starts += filter(os.path.islink, paths)
            for name in names:
                suffix = os.path.splitext(name)[1].lower()
                if suffix in SUFFIXES and os.path.isfile(os.path.join(parent, name)):
                    images.append(os.path.join(parent, name))
                else:
                    left_out[suffix or 'without an ending'] += 1
    return sorted(images)


def read(path: str) -> Image.Image:
    """Load an image upright, in RGB: transparency is dropped, of 16 bits the upper 8 are kept."""
    with open(path, 'rb') as file:  # given a path, Pillow scrambles some TIFFs
        content = file.read()
    if content.startswith(b'\xff\xd8') and content.rfind(b'\xff\xd9') < content.find(b'\xff\xda'):
        raise ValueError(f'it ends after {len(content)} bytes')
    try:
        image = Image.open(io.BytesIO(content), formats=KNOWN)
    except UnidentifiedImageError as error:
        brand = '.avif' if content[8:12] == b'avif' else '.heic'
        fix = f'pip install {PLUGINS[brand]}' if content[4:8] == b'ftyp' else 'no image in it'
        raise ValueError(fix) from error
    is_colour_jp2 = image.format == 'JPEG2000' and image.mode[0] != 'I'
    if is_colour_jp2 and content[content.find(b'\xff\x4f\xff\x51') + 42] & 127 > 7:
        raise ValueError('Pillow decodes more than 8 bits of JPEG 2000 wrongly: save it as PNG')
    image.load()  # which turns a TIFF
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # corrupt metadata
        orientation = 1
    deep = np.asarray(image).clip(0, 65535) if image.mode[0] == 'I' else np.zeros(1)
    if image.mode == 'F' or (image.mode == 'I' and image.format not in ('PNG', 'PPM')):
        raise ValueError('32 bits a channel: save it with 8 or 16')
    if image.mode[0] == 'I':
        image = Image.fromarray((deep >> 8).astype(np.uint8))
    has_alpha = 'transparency' in image.info or image.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La')
    pixels = np.asarray(image.convert('RGBA' if has_alpha else 'RGB'))
    spread = pixels.max((0, 1)) - pixels.min((0, 1))
    if (pixels.max() < 16 and deep.max() > 0) or (has_alpha and spread[3] and not spread[:3].any()):
        raise ValueError('nothing is seen in 8 bits without transparency')
    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    turn = TURNS[int(orientation) - 1] if orientation in range(1, 9) else None
    return image.transpose(Image.Transpose[turn]) if turn else image


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
    """Load an image, resized as in the test pipeline, as the model takes it: (1, 3, H, W)."""
    image = read(path)
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
    taken = about['input']
    size = [taken.get('width') or image.width, taken.get('height') or image.height]
    if size != list(image.size):
        raise ValueError(f'the model takes {size[0]} x {size[1]} pixels, not {image.width} x '
                         f'{image.height}, and has no resize rule')  # fmt: skip
    pixels = np.asarray(image)[..., ::-1] if taken['channels'] == 'BGR' else np.asarray(image)
    if 'mean' in taken:  # the model takes normalised images
        pixels = (pixels - np.array(taken['mean'])) / np.array(taken['std'])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None].astype(taken['dtype']))


parser = argparse.ArgumentParser()
parser.add_argument('model', help='what tools/export_onnx.py wrote')
parser.add_argument('images', nargs='+', help='images and folders')
parser.add_argument('--thr', default='0.5', help='lowest score, or tuned: one per class')
parser.add_argument('--provider', default='CPUExecutionProvider', help='of onnxruntime')


def stop(reason: str) -> None:
    """End with a line and status 2."""
    parser.exit(2, f'{parser.prog}: error: {reason}\n')


def load(path: str, provider: str) -> tuple[onnxruntime.InferenceSession, dict]:
    """Load a model, and what it says about itself."""
    here = onnxruntime.get_available_providers()
    if provider not in here:
        stop(f'no provider {provider} in this onnxruntime, only {", ".join(here)}')
    if not os.path.isfile(path):
        stop(
            f'{path} is {"a folder" if os.path.isdir(path) else "not there"}: name the model first'
        )
    try:
        session = onnxruntime.InferenceSession(path, providers=[provider])
    except Exception as error:  # each version has its own
        version, why = onnxruntime.__version__, str(error).strip().partition('\n')[0]
        if 'IR version' in why or 'opset' in why.lower():
            fix = 'update it, or export for it with tools/export_onnx.py --opset 17'
            stop(f'{path} needs a newer onnxruntime than {version}: {fix}')
        stop(f'onnxruntime {version} cannot load {path}: {why[:200]}')
    about = session.get_modelmeta().custom_metadata_map
    if missing := {'classes', 'resize', 'input', 'output'} - about.keys():
        lacks = ', '.join(sorted(missing))
        stop(f'{path} is not of tools/export_onnx.py: no {lacks} in its metadata')
    return session, {k: json.loads(v) for k, v in about.items() if k not in ('', 'version')}


def main() -> int:
    """Print a line per image; return 2 if one could not be read."""
    args = parser.parse_args()
    session, about = load(args.model, args.provider)
    if isinstance(about['resize'], str):
        stop(f'resize: {about["resize"]}')
    if args.thr == 'tuned' and 'thresholds' not in about:
        stop('thresholds: none in the model, so --thr is a number')
    try:
        thr = about['thresholds']['values'] if args.thr == 'tuned' else float(args.thr)
    except ValueError:
        stop(f'--thr is a number or tuned, not {args.thr}')
    left_out, images, status = collections.Counter(), [], 0
    for path in args.images:
        if not os.path.exists(path):
            stop(f'no image or folder {path}')
        images += find(path, left_out) if os.path.isdir(path) else [path]
    needs = {kind: f' (needs {package})' for kind, package in PLUGINS.items()}
    kinds = ', '.join(f'{n} {kind}{needs.get(kind, "")}' for kind, n in left_out.most_common())
    said = f'{left_out.total()} file{"s" * (left_out.total() > 1)} left out: {kinds}'
    if not images:
        stop(f'no image in {", ".join(args.images)}: {said if left_out else "nothing is there"}')
    if left_out:
        print(said, file=sys.stderr)
    for path in images:
        try:
            image = prepare(path, about)
        except Exception as error:  # each format has its own
            print(f'cannot read image {path}: {error}', file=sys.stderr)
            status = 2
            continue
        (scores,) = session.run(None, {about['input']['name']: image})[0]
        total = dict(sigmoid=np.logaddexp(0, scores), softmax=np.logaddexp.reduce(scores))
        if then := about['output']['then']:
            scores = np.exp(scores - total[then])
        best = [i for i in np.argsort(-scores, kind='stable') if (scores >= thr)[i]]
        print(path, *(f'{about["classes"][i]} {scores[i]:.4f}' for i in best), sep='  ')
    return status


if __name__ == '__main__':
    sys.exit(main())
