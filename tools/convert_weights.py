"""Make one of our checkpoints from published weights: python tools/convert_weights.py SRC DST."""

import argparse

from mmpretrain_mldecoder.apis.convert_weights import convert_weights


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments."""
    parser = argparse.ArgumentParser(
        description='Make one of our checkpoints from published weights, and print what became '
        'what. The family is recognised from the names in the file.'
    )
    parser.add_argument(
        'source',
        metavar='SRC',
        help='file of PaddleClas (.pdparams), the authors (.pth), timm or torchvision (.pth, '
        '.safetensors), or a name such as paddleclas://ResNet50_vd',
    )
    parser.add_argument('out', metavar='DST', help='checkpoint to write, .pth')
    parser.add_argument('--config', help='model that the weights must fill exactly')
    parser.add_argument('--backbone-only', action='store_true', help='leave the head out')
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Convert, write, and print the names side by side."""
    parser, args = parse_args(argv)
    try:
        made = convert_weights(args.source, args.out, args.config, args.backbone_only)
    except (ImportError, OSError, ValueError) as error:
        parser.error(str(error))
    theirs = max(len(name) for name in made.sources.values())
    ours = max(len(name) for name in made.sources)
    for name, source in made.sources.items():
        print(f'{source:<{theirs}}  ->  {name:<{ours}}  {tuple(made.state_dict[name].shape)}')
    for name in made.skipped:
        print(f'{name:<{theirs}}  ->  not used')
    fit = f'they fill {args.config} exactly' if args.config else 'compared with no model (--config)'
    if args.config and args.backbone_only:
        fit = f'they fill the backbone of {args.config} exactly'
    classes = f'{len(made.classes)} class names' if made.classes else 'no class names'
    print(f'{args.out}: {len(made.sources)} weights of {made.family}, {classes}; {fit}')


if __name__ == '__main__':
    main()
