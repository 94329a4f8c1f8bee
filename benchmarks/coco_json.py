"""Reading instances_train2017.json: our reader and dataset, compared with pycocotools.

The file has the size of the real one (118,287 images, 860,001 annotations, about 490 MB) but random
content; it lives in a temporary folder, as does an empty file for each image. Each figure comes
from a process of its own: seconds, and the peak of memory above what the imports take.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from comparison import Comparison, argument_parser, report

IMAGES, ANNOTATIONS, UNLABELLED = 118_287, 860_001, 1_021
# COCO's ids run from 1 to 90; these ten are not used
CATEGORY_IDS = [i for i in range(1, 91) if i not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}]

_MEASURE = """
import json, re, sys, time
def kilobytes(field):
    return int(re.search(field + r':\\s+(\\d+)', open('/proc/self/status').read())[1])
{setup}
before = kilobytes('VmRSS')
start = time.perf_counter()
result = {statement}
seconds = time.perf_counter() - start
peak = kilobytes('VmHWM') - before
print()
print(json.dumps(dict(seconds=seconds, megabytes=peak / 1000, length={length})))
"""
_PYCOCOTOOLS = dict(
    setup='from pycocotools.coco import COCO',
    statement='COCO(sys.argv[1])',
    length='[len(result.imgs), len(result.anns)]',
)
_READER = dict(
    setup='from mmpretrain_mldecoder.datasets import read_coco_annotations',
    statement='read_coco_annotations(sys.argv[1])',
    length='[len(result.image_ids), len(result.annotation_images)]',
)
_DATASET = dict(
    setup='from mmpretrain_mldecoder.datasets import COCOMultiLabel',
    statement='COCOMultiLabel(sys.argv[1], data_prefix=sys.argv[2])',
    length='[len(result), sum(len(info["instance_labels"]) for info in map(result.get_data_info, '
    'range(len(result))))]',
)


def image_name(index: int) -> str:
    """Return the file name of an image, as COCO has them."""
    return f'{5 * index + 9:012d}.jpg'


def write_instances(path: Path, images: int = IMAGES, annotations: int = ANNOTATIONS) -> None:
    """Write a JSON of the form and the sizes of instances_train2017.json, with random content.

    The text of an annotation is as long as COCO's on average (half a kilobyte), spread as widely;
    polygons come from a pool of some thousand. Annotations are in random order of the images, a
    hundredth of the images has none, a hundredth of the boxes is a crowd with run lengths.
    """
    rng = np.random.default_rng(0)
    polygons = []
    for corners in rng.lognormal(np.log(17.8), 0.78, 5000).astype(int).clip(3, 500):
        points = rng.uniform(0, 640, 2 * corners).round(2).tolist()
        polygons.append(json.dumps([points]))
    crowd = json.dumps(dict(counts=rng.integers(1, 300, 400).tolist(), size=[480, 640]))
    labelled = rng.permutation(images)[: max(1, images - images * UNLABELLED // IMAGES)]
    with path.open('w') as file:
        file.write('{"info": {"description": "random"}, "licenses": [], "images": [')
        for i in range(images):
            name = image_name(i)
            file.write(
                f'{", " * (i > 0)}{{"license": 3, "file_name": "{name}", '
                f'"coco_url": "http://images.cocodataset.org/train2017/{name}", "height": '
                f'{480 - i % 7}, "width": {640 - i % 5}, "date_captured": "2013-11-14 11:18:45", '
                f'"flickr_url": "http://farm9.staticflickr.com/8186/{i:010d}_b26b5d7ff5_z.jpg", '
                f'"id": {5 * i + 9}}}'
            )
        file.write('], "annotations": [')
        image_of = rng.choice(labelled, annotations)
        image_of[: len(labelled)] = rng.permutation(labelled)[:annotations]
        category_of = (len(CATEGORY_IDS) * rng.random(annotations) ** 3).astype(int)
        polygon_of = rng.integers(0, len(polygons), annotations)
        boxes = rng.uniform(1, 320, (annotations, 4)).round(2)
        for i in range(annotations):
            x, y, width, height = boxes[i].tolist()
            segment = crowd if i % 100 == 99 else polygons[polygon_of[i]]
            file.write(
                f'{", " * (i > 0)}{{"segmentation": {segment}, "area": {width * height * 0.6}, '
                f'"iscrowd": {int(i % 100 == 99)}, "image_id": {5 * image_of[i] + 9}, "bbox": '
                f'[{x}, {y}, {width}, {height}], "category_id": {CATEGORY_IDS[category_of[i]]}, '
                f'"id": {i + 1}}}'
            )
        categories = [dict(supercategory='thing', id=i, name=f'class {i}') for i in CATEGORY_IDS]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def measure(code: dict[str, str], *arguments: Path) -> dict:
    """Run the code in a process of its own; return its seconds, peak megabytes and lengths."""
    done = subprocess.run(
        [sys.executable, '-c', _MEASURE.format(**code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def fewest(*results: dict) -> dict:
    """Return the smallest figures of several runs, whose lengths must agree."""
    assert all(result['length'] == results[0]['length'] for result in results)
    return {key: min(result[key] for result in results) for key in ('seconds', 'megabytes')}


def compare(folder: Path, args: argparse.Namespace) -> list[Comparison]:
    """Return the rows, measured on files below ``folder``."""
    path, image_dir = folder / 'instances_train2017.json', folder / 'train2017'
    write_instances(path, args.images, args.annotations)
    image_dir.mkdir()
    for i in range(args.images):
        (image_dir / image_name(i)).touch()

    peer = measure(_PYCOCOTOOLS, path)
    assert peer['length'] == [args.images, args.annotations]
    ours = fewest(*(measure(_READER, path) for _ in range(args.repeats)))
    dataset = fewest(*(measure(_DATASET, path, image_dir) for _ in range(args.repeats)))
    megabytes = path.stat().st_size / 1e6
    what = f'{args.images:,} images, {args.annotations:,} annotations, {megabytes:.0f} MB'
    return [
        Comparison(f'read {what}', ours['seconds'], 's', peer['seconds'], 'pycocotools', goal=15),
        Comparison(
            'peak memory of reading',
            ours['megabytes'],
            'MB',
            peer['megabytes'],
            'pycocotools',
            goal=4,
        ),
        Comparison(
            'COCOMultiLabel',
            dataset['seconds'],
            's',
            peer['seconds'],
            'pycocotools',
            note='with a look for each image; imports not counted',
        ),
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=IMAGES)
    parser.add_argument('--annotations', type=int, default=ANNOTATIONS)
    parser.add_argument('--repeats', type=int, default=3, help='runs of ours, the best counts')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder), args)
    report('coco_json', rows, args.out, ('pycocotools', 'msgspec', 'numpy'))


if __name__ == '__main__':
    main()
