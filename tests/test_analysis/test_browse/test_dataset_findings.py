import cv2
import numpy as np
from faulty_images import encoded, photo

from mmpretrain_mldecoder.analysis.browse.dataset_findings import similar_groups
from mmpretrain_mldecoder.analysis.browse.image_check import ImageChecker


def thumbnails(contents, tmp_path) -> np.ndarray:
    found = []
    for i, content in enumerate(contents):
        (tmp_path / f'{i}').write_bytes(content)
        found.append(ImageChecker().check((str(tmp_path / f'{i}'), None)).thumbnail)
    return np.stack(found)


def versions(pixels: np.ndarray) -> dict[str, bytes]:
    height, width = pixels.shape[:2]
    half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    grey = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    return {
        'lossless': encoded(pixels, 'PNG'),
        'quality 75': encoded(pixels, quality=75),
        'quality 30': encoded(pixels, quality=30),
        'half the size': encoded(half, quality=90),
        'grey': encoded(grey, quality=90),
    }


def test_versions_of_one_image_are_the_same(tmp_path):
    """Three images, whose versions stand in turn."""
    of_each = [list(versions(photo(seed, 120, 160)).values()) for seed in range(3)]
    number = len(of_each[0])
    contents = [version for same in zip(*of_each, strict=True) for version in same]
    groups = similar_groups(thumbnails(contents, tmp_path))
    assert groups == [list(range(seed, 3 * number, 3)) for seed in range(3)]


def test_versions_of_real_photos_are_found_and_photos_are_not_confused(shared_data, tmp_path):
    """A fifth of the photos twice: every pair, and no other."""
    paths = sorted((shared_data / 'coco_tiny').glob('*2017/*.jpg'))[::2]
    photos = [cv2.imread(str(path))[..., ::-1] for path in paths]
    chosen = photos[::5]
    kinds = list(versions(photos[0]))
    again = [versions(pixels)[kinds[i % len(kinds)]] for i, pixels in enumerate(chosen)]
    contents = [encoded(pixels, quality=95) for pixels in photos] + again
    expected = [[5 * i, len(photos) + i] for i in range(len(chosen))]
    assert similar_groups(thumbnails(contents, tmp_path)) == expected


def test_other_images_are_not_the_same(tmp_path):
    pixels = photo(3, 120, 160)
    moved = pixels.copy()  # something appeared, of the size of a cell and a half
    moved[50:62, 70:84] = 255 - moved[50:62, 70:84]
    cropped = cv2.resize(pixels[12:-12, 16:-16], (160, 120))
    brighter = np.uint8(np.minimum(pixels + np.int32(40), 255))
    contents = [
        encoded(each, 'PNG') for each in (pixels, pixels[:, ::-1], moved, cropped, brighter)
    ]
    # of one colour: they are compared with none
    contents += [encoded(np.full((60, 80, 3), level, np.uint8)) for level in (0, 0, 120, 121)]
    assert similar_groups(thumbnails(contents, tmp_path)) == []


def test_candidates_are_all_pairs_within_three_bits():
    """Against a loop over all pairs, on thumbnails that differ in a few cells only."""
    rng = np.random.default_rng(0)
    base = rng.integers(40, 200, (40, 16, 18))
    noise = rng.integers(-2, 3, (160, 16, 18))
    many = np.uint8(base[rng.integers(0, 40, 160)] + noise)
    joined = np.eye(len(many), dtype=bool)
    for a in range(len(many)):
        for b in range(a):
            difference = np.abs(many[a].astype(int) - many[b])
            bits = [
                (cells[:, 1:] > cells[:, :-1]).ravel()
                for cells in (
                    t.astype(int).reshape(8, 2, 9, 2).sum(axis=(1, 3)) for t in (many[a], many[b])
                )
            ]
            if (bits[0] != bits[1]).sum() <= 3 and difference.max() <= 16:
                joined[a, b] = joined[b, a] = difference.mean() <= 2.5
    for _ in range(8):  # who is joined to whom through others
        joined = (joined.astype(int) @ joined.astype(int)) > 0
    expected = {tuple(np.flatnonzero(row).tolist()) for row in joined if row.sum() > 1}
    assert {tuple(group) for group in similar_groups(many)} == expected
    assert len(expected) > 10
    assert similar_groups(np.zeros((0, 16, 18), np.uint8)) == []
