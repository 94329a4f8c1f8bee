"""Images whose labels anyone can see, two of them wrong, and a run that was started on them."""

import csv
from pathlib import Path

import cv2
import numpy as np
from tiny_run import load_main

MISSING, SPURIOUS = 'red7.jpg', 'blue7.jpg'  # red is not said of the one, and is said of the other


def start_run(folder: Path) -> Path:
    """Write 40 images and ``labels.csv``, and return a run of them that stopped before training."""
    data, generator = folder / 'data', np.random.default_rng(0)
    data.mkdir(parents=True)
    rows = [['image', 'colours']]
    for number in range(20):
        for name, colour in (('red', (40, 40, 220)), ('blue', (220, 60, 40))):
            noise = generator.integers(0, 36, (48, 64, 3))
            cv2.imwrite(str(data / f'{name}{number}.jpg'), (noise + colour).clip(0, 255))
            rows.append([f'{name}{number}.jpg', f'{name}|seen'])
    labels = dict(rows) | {MISSING: 'seen', SPURIOUS: 'blue|red|seen'}
    with (data / 'labels.csv').open('w', newline='') as file:
        csv.writer(file).writerows(labels.items())
    run = folder / 'run'
    load_main('start')([str(data), '--out', str(run), '--dry-run', '--row', 'linear_lite0_frozen'])
    return run
