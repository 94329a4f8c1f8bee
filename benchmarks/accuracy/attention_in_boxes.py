"""Where a head looks: ``python -m benchmarks.accuracy.attention_in_boxes``.

For every label of the test photos of VOC 2007: does the centre of the strongest cell lie in a box
of that class? For ML-Decoder the cell is that of the label's attention (mean of the heads), for the
linear head and CSRA that of the class activation map (CAM: the class' weights times the features of
a cell). Chance is the fraction of cells whose centre lies in such a box. The networks are those of
the main table of ``fine_tuning``, seed 0, whose checkpoints are read.
"""

import argparse
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmpretrain import get_model
from mmpretrain.registry import DATASETS
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.accuracy.fine_tuning import HEADS, Run, run_folder
from benchmarks.accuracy.records import OUT, Study
from mmpretrain_mldecoder.checkpoints.resume import find_resume_checkpoint


def boxes_by_class(annotation: Path) -> dict[str, np.ndarray]:
    """Return the boxes ``(n, 4)`` by class: left, top, right, bottom, as parts of the photo."""
    root = ElementTree.parse(annotation).getroot()
    width, height = (float(root.findtext(f'size/{side}', '')) for side in ('width', 'height'))
    boxes: dict[str, list] = {}
    for each in root.iterfind('object'):
        corners = [float(each.findtext(f'bndbox/{name}', '')) for name in ('xmin', 'ymin')]
        corners += [float(each.findtext(f'bndbox/{name}', '')) for name in ('xmax', 'ymax')]
        boxes.setdefault(each.findtext('name', ''), []).append(corners)
    return {
        name: np.array(corners) / [width, height, width, height] for name, corners in boxes.items()
    }


def cells_in_boxes(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return which cells of a grid have their centre in any of the boxes, ``(height, width)``."""
    x = (np.arange(width) + 0.5)[None, :, None] / width
    y = (np.arange(height) + 0.5)[:, None, None] / height
    left, top, right, bottom = boxes.T
    return ((left <= x) & (x <= right) & (top <= y) & (y <= bottom)).any(axis=2)


def class_maps(head: nn.Module, feats: tuple[Tensor, ...]) -> Tensor:
    """Return one map per class, ``(B, C, H, W)``: attention, or the class activation map."""
    if hasattr(head, 'attention_maps'):
        queries = head.attention_maps(feats).mean(1)
        return queries.repeat_interleave(head.decoder.group_linear.group_size, dim=1)
    weight = head.fc.weight if hasattr(head, 'fc') else head.csra_heads[0].head.weight
    return torch.einsum('kc,bchw->bkhw', weight.flatten(1), feats[-1])


@torch.inference_mode()
def hits(cfg: Config, checkpoint: str, voc: Path) -> dict[str, float]:
    """Return the percentage of labels whose strongest cell is in a box, and that of chance."""
    model = get_model(cfg, pretrained=checkpoint, device='cpu').eval()
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    loader = DataLoader(dataset, batch_size=32, collate_fn=default_collate)
    in_box, chance = [], []
    for batch in track(loader, 'strongest cells'):
        data = model.data_preprocessor(batch)
        maps = class_maps(model.head, model.extract_feat(data['inputs'], stage='backbone'))
        for each, sample in zip(maps.numpy(), data['data_samples'], strict=True):
            boxes = boxes_by_class(voc / 'Annotations' / f'{Path(sample.img_path).stem}.xml')
            for label in sample.gt_label.tolist():
                cells = cells_in_boxes(boxes[dataset.metainfo['classes'][label]], *each.shape[1:])
                in_box.append(cells.flat[each[label].argmax()])
                chance.append(cells.mean())
    return dict(
        labels=len(in_box), in_box=100 * float(np.mean(in_box)), chance=100 * float(np.mean(chance))
    )


def main() -> None:
    """Measure the networks whose checkpoints are there."""
    parser = argparse.ArgumentParser(description='Count strongest cells in boxes.')
    parser.add_argument('--out', type=Path, default=OUT, help='where the checkpoints are')
    out = parser.parse_args().out
    study = Study('attention_in_boxes', out)
    trained = Study('fine_tuning', out)
    for head in HEADS:
        settings = Run('voc2007', head)
        of_run = dict(dataset=settings.dataset, run=settings.name, seed=settings.seed)
        records = trained.find(of_run)
        if not records:
            continue
        key = dict(of_run, head=head)
        if not study.find(key):
            lr = records[0]['lr']
            cfg = settings.config(lr, out)
            checkpoint = find_resume_checkpoint(run_folder(settings, trained, lr, out))
            if checkpoint is None:
                continue
            study.add(key, hits(cfg, checkpoint, Path(cfg.test_dataloader.dataset.data_root)))
        record = study.find(key)[0]
        print(f'{head}: {record["in_box"]:.1f} % in a box, by chance {record["chance"]:.1f} %')


if __name__ == '__main__':
    main()
