"""Memory of the dataset in each worker of a DataLoader, compared with torchvision's CocoDetection.

Workers are forked, as on Linux they are by default, so that they share what their parent has until
they write to it. After an epoch in random order, what each has for itself (``Private_*`` of
``/proc/<pid>/smaps_rollup``) less the same with a dataset that has no data is the memory of the
dataset. No image is decoded: the JSON is random, of COCO's size. The peer takes 8 GB in all,
``--images 12000 --annotations 87000`` a tenth of that.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from coco_json import ANNOTATIONS, IMAGES, image_name, write_instances
from comparison import Comparison, argument_parser, report

_MEASURE = """
import json, multiprocessing, re, sys
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import CocoDetection
from mmpretrain_mldecoder.datasets import COCOMultiLabel

class NoImages(CocoDetection):
    def _load_image(self, id):
        return None

class NoData(Dataset):
    def __len__(self):
        return {images}
    def __getitem__(self, index):
        return index

def nothing(batch):
    return None

def private_megabytes(pid):
    text = open(f'/proc/{{pid}}/smaps_rollup').read()
    return sum(int(kb) for kb in re.findall(r'^Private_\\w+: +(\\d+) kB', text, re.M)) / 1000

path, folder = sys.argv[1:]
dataset = {dataset}
assert len(dataset) == {images}
loader = DataLoader(
    dataset, batch_size=64, shuffle=True, num_workers={workers}, collate_fn=nothing,
    persistent_workers=True, multiprocessing_context='fork',
)
for _ in loader:
    pass
workers = multiprocessing.active_children()
assert len(workers) == {workers}
print()
print(json.dumps([private_megabytes(worker.pid) for worker in workers]))
"""
_DATASETS = dict(
    nothing='NoData()',
    ours='COCOMultiLabel(path, data_prefix=folder)',
    torchvision='NoImages(folder, path)',
)


def private_megabytes(dataset: str, images: int, workers: int, *arguments: Path) -> float:
    """Return the private memory of a worker after an epoch, the mean of all."""
    code = _MEASURE.format(dataset=_DATASETS[dataset], images=images, workers=workers)
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    each = json.loads(done.stdout.splitlines()[-1])
    return sum(each) / len(each)


def main() -> None:
    """Measure, print and write."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=IMAGES)
    parser.add_argument('--annotations', type=int, default=ANNOTATIONS)
    parser.add_argument('--workers', type=int, default=8)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, image_dir = Path(folder, 'instances_train2017.json'), Path(folder, 'train2017')
        write_instances(path, args.images, args.annotations)
        image_dir.mkdir()
        for i in range(args.images):
            (image_dir / image_name(i)).touch()
        megabytes = {
            name: private_megabytes(name, args.images, args.workers, path, image_dir)
            for name in _DATASETS
        }
    # a page is the least that can be measured
    ours = max(megabytes['ours'] - megabytes['nothing'], 0.004)
    peer = megabytes['torchvision'] - megabytes['nothing']
    row = Comparison(
        f'memory of the dataset in each of {args.workers} workers, {args.images:,} images',
        ours,
        'MB',
        peer,
        'torchvision CocoDetection',
        goal=20,
        note=f'on top of the {megabytes["nothing"]:.0f} MB of a worker without data',
    )
    report('dataset_memory', [row], args.out, ('torchvision', 'pycocotools', 'numpy'))


if __name__ == '__main__':
    main()
