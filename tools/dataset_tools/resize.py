"""Copy a dataset with resized images: python tools/dataset_tools/resize.py SRC DST --size 448."""

import argparse
import sys
from collections import Counter

from mmpretrain_mldecoder.datasets.image_header import package_for
from mmpretrain_mldecoder.datasets.image_search import list_kinds
from mmpretrain_mldecoder.datasets.resized_copy import FAILED_FILE, make_resized_copy
from mmpretrain_mldecoder.errors import exit_on_error
from mmpretrain_mldecoder.fileio.terminal import printable


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Parse the arguments."""
    parser = argparse.ArgumentParser(
        description='Copy a dataset with every image squashed to a square, so that training '
        'need not do it in every epoch. Names stay. An interrupted copy is continued.'
    )
    parser.add_argument('source', metavar='SRC', help='root of the dataset')
    parser.add_argument('target', metavar='DST', help='folder of the copy')
    parser.add_argument('--size', type=int, required=True, help='side of the images in pixels')
    parser.add_argument('--quality', type=int, default=95, help='of JPEG, 1 to 100; default: 95')
    parser.add_argument('--workers', type=int, help='processes; default: all cores')
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Copy, print a summary, and return the exit status: 1 if files could not be read."""
    parser, args = parse_args(argv)
    with exit_on_error('all files written are complete; the same command continues'):
        try:
            numbers = args.size, args.quality, args.workers
            copy = make_resized_copy(args.source, args.target, *numbers)
        except (OSError, ValueError) as error:
            parser.error(str(error))
    for path in copy.left_out:
        print(f'skipped, an archive: {printable(path)}')
    for path in copy.outside[:10]:
        print(f'skipped, a link leads out of {args.source}: {printable(path)}')
    if len(copy.outside) > 10:
        print(f'skipped, {len(copy.outside):,} files in all that a link leads to')
    for entry in copy.failed[:10]:
        print(f'cannot be read: {printable(entry["path"])}: {printable(entry["error"])}')
    if unread := Counter({k: n for k, n in copy.kinds.items() if package_for(k)}):
        print(f'images in other files, copied as they are: {list_kinds(unread)}')
    sizes = f', {copy.bytes_before / 1e6:,.0f} MB before, {copy.bytes_after / 1e6:,.0f} MB now'
    print(
        f'{args.target}: {copy.written:,} images of {args.size} px written'
        f'{sizes if copy.written else ""}; {copy.present:,} were there, {copy.others:,} other '
        f'files copied, {len(copy.failed):,} could not be read'
        + (f' (listed in {args.target}/{FAILED_FILE})' if copy.failed else '')
    )
    return 1 if copy.failed else 0


if __name__ == '__main__':
    sys.exit(main())
