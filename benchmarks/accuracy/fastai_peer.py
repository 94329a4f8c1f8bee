"""fastai on the same few photos: ``make fastai``, in an environment of its own.

The photos and labels are those of :mod:`.small_data`, the weights the package's, the training that
of fastai's own pages on VOC 2007: ``aug_transforms`` at 224 px and ``fine_tune``, in three lengths.
fastai keeps 20 % of the photos; the mAP on them chooses the length, which alone is tested. Not its
default: smaller batches than 64 where an epoch would have fewer than 10 of them, and the names of
all classes, without which it stops at one that only the 20 % have.
"""

import argparse
import itertools
import resource
from pathlib import Path

import fastai
import numpy as np
import pandas as pd
import torch
from fastai.vision import all as vision

from benchmarks.accuracy.photos import DATASETS, paths_and_targets
from benchmarks.accuracy.records import OUT, Study, mean_average_precision
from benchmarks.accuracy.small_data import SIZES, write_csv
from benchmarks.accuracy.timm_training import MODEL, imagenet_weights
from mmpretrain_mldecoder.datasets.seeded_datasets import SeededVOC

RUNS = dict(
    tutorial=dict(epochs=2, base_lr=3e-2),  # docs.fast.ai/tutorial.vision, at the rate of lr_find
    book=dict(epochs=3, base_lr=3e-3, freeze_epochs=4),  # fastbook, chapter 6
    longer=dict(epochs=10),  # at the default rate
)


def build_learner(folder: Path, work: Path, seed: int) -> vision.Learner:
    """Return fastai's learner for a folder with ``labels.csv``; ``work`` has the weights."""
    vision.set_seed(seed)
    table = pd.read_csv(folder / 'labels.csv', keep_default_na=False)
    names = {name for labels in table['labels'] for name in labels.split('|') if name}
    batch_size = max(8, 2 ** int(np.log2(min(64, 0.8 * len(table) / 10))))
    labels = dict(label_delim='|', y_block=vision.MultiCategoryBlock(vocab=sorted(names)))
    pixels = dict(item_tfms=vision.Resize(460), batch_tfms=vision.aug_transforms(size=224))
    settings = dict(seed=seed, bs=batch_size, **labels, **pixels)
    loaders = vision.ImageDataLoaders.from_df(table, folder, **settings)
    weights = dict(pretrained_cfg_overlay=dict(file=str(work / 'imagenet.pth')))
    return vision.vision_learner(loaders, MODEL, path=work, **weights)


def cpu_minutes() -> float:
    """Return what this process and its loaders have used; others may use the processor, too."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used) / 60


def train(learner: vision.Learner, name: str) -> dict:
    """Train, save the weights under this name, and return what came out."""
    begin = cpu_minutes()
    learner.fine_tune(**RUNS[name])
    outcome = dict(cpu_minutes=cpu_minutes() - begin, learned_from=len(learner.dls.train_ds))
    learner.save(name)
    return outcome | dict(mAP_kept=mean_average_precision(*map(np.asarray, learner.get_preds())))


def test(learner: vision.Learner, name: str, photos: list[str]) -> np.ndarray:
    """Return the scores ``(N, 20)`` of saved weights; a class without a photo has 0 throughout."""
    scores = np.zeros((len(photos), DATASETS['voc2007']), np.float32)
    places = [SeededVOC.METAINFO['classes'].index(each) for each in learner.dls.vocab]
    scores[:, places] = learner.load(name).get_preds(dl=learner.dls.test_dl(photos))[0]
    return scores


def main() -> None:
    """Train and test what is not stored yet."""
    parser = argparse.ArgumentParser(description='Train on few photos with fastai.')
    parser.add_argument('--sizes', nargs='+', type=int, default=SIZES)
    parser.add_argument('--runs', nargs='+', default=list(RUNS), choices=list(RUNS))
    parser.add_argument('--seeds', type=int, default=1, help='number of draws of the photos')
    parser.add_argument('--out', type=Path, default=OUT)
    args = parser.parse_args()
    choice, study = Study('fastai_peer_choice', args.out), Study('fastai_peer', args.out)
    for seed, count in itertools.product(range(args.seeds), args.sizes):
        key = dict(dataset='voc2007', photos=count, seed=seed)
        folder, _ = write_csv(count, seed, args.out)
        work = (args.out / 'fastai_peer' / folder.name).resolve()
        work.mkdir(parents=True, exist_ok=True)
        torch.save(imagenet_weights(), work / 'imagenet.pth')
        for name in args.runs:
            run = key | dict(run=name)
            if not choice.find(run):
                choice.add(run, train(build_learner(folder, work, seed), name))
        if not study.find(key):
            chosen = max(choice.find(key), key=lambda record: record['mAP_kept'])
            photos, targets = paths_and_targets('voc2007', 'test', args.out)
            scores = test(build_learner(folder, work, seed), chosen['run'], photos)
            outcome = dict(mAP=mean_average_precision(scores, targets), fastai=fastai.__version__)
            study.add(key, chosen | outcome)


if __name__ == '__main__':
    main()
