"""What each finding about a dataset is called, what it means for training, and the way out."""

from typing import NamedTuple


class FindingWords(NamedTuple):
    """The words of one finding; ``harmful`` ones set the exit status of the tool to 1."""

    title: str
    harmful: bool
    meaning: str
    way_out: str


_UNREAD = (
    'training puts another picture in its place, up to max_unreadable of them, then stops; a test '
    'stops when it comes to one'
)

FINDING_WORDS = {
    'missing': FindingWords(
        'missing files',
        True,
        'training stops before it starts, or when it comes to one',
        'complete the folder, correct data_root and data_prefix, or take them off the annotations',
    ),
    'unreadable': FindingWords(
        'unreadable pictures',
        True,
        _UNREAD,
        'get the file again, or take it off the annotations',
    ),
    'truncated': FindingWords(
        'cut off files',
        True,
        _UNREAD,
        'get the file again',
    ),
    'too_large': FindingWords(
        'pictures with too many pixels',
        True,
        _UNREAD,
        'make it smaller, or set max_pixels of LoadWholeImage',
    ),
    'blank': FindingWords(
        'pictures that come out blank',
        True,
        _UNREAD,
        'stretch those that use a few of their 16 bits; put those that are in their transparency '
        'only on a background',
    ),
    'damaged': FindingWords(
        'damaged JPEG data',
        True,
        'the decoder complains and goes on: behind the damage the picture is wrong or grey (at '
        'times only a few bytes too many, and nothing is)',
        'look at it; get the file again',
    ),
    'in_several_splits': FindingWords(
        'same picture in several splits',
        True,
        'the model is tested on what it was trained on: scores come out too high',
        'take it out of the training split',
    ),
    'twice_in_split': FindingWords(
        'same picture twice in a split',
        False,
        'it counts double, and its labels may contradict each other',
        'keep one, with the labels of both',
    ),
    'no_positives_train': FindingWords(
        'labels without a picture in train',
        True,
        'the model cannot learn them; in val they score next to nothing and lower the mAP',
        'collect pictures, or leave them out by `classes` of the dataset',
    ),
    'no_positives': FindingWords(
        'labels without a picture in val or test',
        False,
        'they have no AP: MultiLabelMAP leaves them out of the mean and says how many',
        'move pictures of them there from train',
    ),
    'unlabelled': FindingWords(
        'pictures without a label',
        False,
        'negative for every class; wrong if they are only not annotated yet',
        'keep_unlabelled=False of COCOMultiLabel leaves them out',
    ),
    'greyscale': FindingWords(
        'greyscale pictures',
        False,
        'the loader makes three equal channels: the colour is missing, all else works',
        'nothing to do, if val has about the same share',
    ),
    'cmyk': FindingWords(
        'CMYK pictures',
        False,
        'the loader turns them into colours without their profile: these are off, at times far',
        'convert them to RGB with their ICC profile',
    ),
    'palette': FindingWords(
        'pictures with a palette',
        False,
        'the loader looks the colours up: nothing is lost',
        'nothing to do; if they are label maps, the folder is the wrong one',
    ),
    'alpha': FindingWords(
        'pictures with transparency',
        False,
        'OpenCV drops the alpha channel: what it hid is seen, often black or coloured borders',
        'paste them on a background of your choice',
    ),
    'deep': FindingWords(
        'more than 8 bits a channel',
        False,
        'the loader keeps the upper 8 bits: dark scans can become almost black',
        'stretch them to 8 bits yourself',
    ),
    'rotated': FindingWords(
        'turned by EXIF',
        False,
        'the loader turns them upright, as viewers do',
        'nothing to do; boxes drawn on the unturned picture do not fit (labels do)',
    ),
    'rotated_ignored': FindingWords(
        'EXIF orientation that the pipeline ignores',
        False,
        'the network sees them lying on the side or upside down',
        "color_type='color' of the loader turns them upright",
    ),
    'other_size': FindingWords(
        'another size than annotated',
        False,
        'labels stay right; areas, and with them AP by object size, are those of the annotated '
        'size. Of one picture: it may be another one. Of all: a resized copy, as resize.py makes',
        'compare picture and annotation',
    ),
}

NOT_IN_HEADERS = ('damaged', 'blank')
LABEL_CODES = ('no_positives_train', 'no_positives', 'unlabelled')


def codes_to_look_for(read_files: bool = True, quick: bool = False) -> list[str]:
    """List what can be found: labels only, headers too, or all.

    Args:
        read_files (bool): Whether files are looked into. Defaults to True.
        quick (bool): Whether their headers only. Defaults to False.
    """
    if not read_files:
        return list(LABEL_CODES)
    return [code for code in FINDING_WORDS if not (quick and code in NOT_IN_HEADERS)]
