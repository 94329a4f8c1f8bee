"""The recipe's augmentation against PaddleClas' ``RandAugmentV4`` and the authors', on photos."""

import json
import os
import shutil
from unittest.mock import patch

import cv2
import numpy as np
import our_augmentation
import pytest
from augmentation_cases import CASES, CENTER, SIGNED, case_key, count_draws, formula_picture
from scipy import stats

from mmpretrain_mldecoder.datasets.transforms import RandomCutout, SquareResize

# Photos, and the mean distance in grey levels that their resized pictures may have. Pillow 13
# filters the second, a tall one, in the other order of axes, see ``SquareResize``.
PHOTOS = {'000000005001': 0.003, '000000125952': 0.25}
PEERS = ('paddleclas', 'authors')
CUTOUT_SIZES = {3: 7, 6: 13, 9: 20}  # of round(20 * level / 9)


@pytest.fixture(scope='module')
def peers(run_paddle, shared_data, tmp_path_factory):
    """Pictures by name, what the peers made of them, and what they drew."""
    checkout = os.environ.get('PADDLECLAS')
    if not checkout:
        pytest.skip('no augmentation of PaddleClas: set PADDLECLAS to a checkout of its repository')
    folder = tmp_path_factory.mktemp('augmentation')
    for name in PHOTOS:
        shutil.copy(shared_data / 'coco_tiny' / 'val2017' / f'{name}.jpg', folder)
    np.savez(folder / 'pictures.npz', formula=formula_picture())
    run_paddle('paddle_augment.py', folder, '--checkout', checkout)
    outputs = dict(np.load(folder / 'outputs.npz'))
    pictures = {name: outputs[f'resized/{name}'] for name in PHOTOS}
    pictures['formula'] = formula_picture()
    return folder, pictures, outputs, json.loads((folder / 'draws.json').read_text())['draws']


def of_peer(made: dict, peer: str):
    if peer not in made:
        pytest.skip("no package randaugment in the peers' interpreter (pip install randaugment)")
    return made[peer]


def test_decoded_and_resized_photos(peers):
    """Fixed-point weights and rounding between the axes differ: 1 grey level at most."""
    folder, _, outputs, _ = peers
    for name, bound in PHOTOS.items():
        results = SquareResize(448)(dict(img=cv2.imread(str(folder / f'{name}.jpg'))))
        apart = np.abs(results['img'][..., ::-1].astype(int) - outputs[f'resized/{name}'])
        print(f'{name}: mean {apart.mean():.5f}, max {apart.max()}')
        assert apart.max() <= 1
        assert apart.mean() < bound


@pytest.mark.parametrize('case', CASES, ids=lambda case: case_key(*case))
@pytest.mark.parametrize('peer', PEERS)
def test_operation(peers, peer, case):
    _, pictures, outputs, draws = peers
    of_peer(draws, peer)
    name, level, _ = case
    share = our_augmentation.SHARE_APART.get(name, 0)
    for picture_name, picture in pictures.items():
        theirs = outputs[f'{peer}/{picture_name}/{case_key(*case)}'].astype(int)
        ours = our_augmentation.apply(picture, *case)
        if (peer, name) == ('paddleclas', 'cutout'):
            # Not the recipe's: black, and twice the side. Ours is the authors'.
            ours = picture.copy()
            box = slice(CENTER - CUTOUT_SIZES[level], CENTER + CUTOUT_SIZES[level])
            ours[box, box] = 0
        apart = np.abs(ours - theirs)
        print(f'{peer} {picture_name} {case_key(*case)}: {apart.mean():.5f}, max {apart.max()}')
        assert apart.max() <= (share > 0)
        assert (apart > 0).mean() <= share


@pytest.mark.parametrize('peer', PEERS)
def test_draws(peers, peer):
    theirs = count_draws(of_peer(peers[3], peer))
    ours = count_draws(our_augmentation.draw(10_000))
    our_augmentation.assert_expected_draws(theirs)
    our_augmentation.assert_expected_draws(ours)
    tables = {'number': [ours['number'], theirs['number']]}
    tables['levels'] = [np.ravel(list(side['levels'].values())) for side in (ours, theirs)]
    tables['pairs'] = [np.ravel(side['pairs']) for side in (ours, theirs)]
    tables |= {name: [ours['signs'][name], theirs['signs'][name]] for name in SIGNED}
    for name, table in tables.items():
        p = stats.chi2_contingency(table).pvalue
        print(f'{peer} {name}: p = {p:.3f}')
        assert p > 1e-3, name  # seeded on both sides


@pytest.mark.parametrize('length', [112, 224])
def test_cutout_before_rand_augment(peers, length):
    """Theirs fills the end row and column too: 1 pixel more, as ``RandomCutout`` says."""
    theirs = peers[2][f'cutout/{length}'].any(-1)
    start = length // 2
    expected = np.zeros_like(theirs)
    expected[start : start + length + 1, start : start + length + 1] = True
    np.testing.assert_array_equal(theirs, expected)

    blank = np.zeros((2 * length, 2 * length, 3), np.uint8)
    # One argument for the centre, three for the colour.
    with patch('numpy.random.randint', lambda *args: length if len(args) == 1 else 9):
        ours = RandomCutout(length)(dict(img=blank))['img'].any(-1)
    expected[start + length] = expected[:, start + length] = False
    np.testing.assert_array_equal(ours, expected)
