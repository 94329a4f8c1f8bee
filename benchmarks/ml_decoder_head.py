"""The ML-Decoder head on its own, beside timm's copy of the authors' code, on the CPU.

timm's head fails on torch >= 2.1 as it is; ``timm_head.py`` says what is changed to run it.
"""

from collections.abc import Callable

import torch
from comparison import Comparison, argument_parser, report, seconds_in_turn
from torch import Tensor, nn

try:
    from timm_head import decoder_pair
except ModuleNotFoundError as error:
    raise SystemExit(f'{error}: `make bench` installs the peers.') from None

SIDE = 14  # of the map that a ResNet makes of 448 pixels
CHANNELS = 2048
CASES = {
    '9,605 classes in 100 groups': (9605, 100),
    '80 classes, a query each': (80, 80),
}


def training_step(decoder: nn.Module, feats: Tensor) -> Callable[[], None]:
    """Return forward and backward as a call; the map gets a gradient, as a backbone needs it."""
    feats = feats.clone().requires_grad_()

    def step() -> None:
        decoder.zero_grad()
        feats.grad = None
        decoder(feats).square().sum().backward()

    return step


def prediction(decoder: nn.Module, feats: Tensor) -> Callable[[], Tensor]:
    """Return the forward pass as a call."""

    def step() -> Tensor:
        with torch.inference_mode():
            return decoder(feats)

    return step


def compare(name: str, num_classes: int, num_groups: int, batch: int, repeats: int) -> list:
    """Return the rows of one case: training step and prediction."""
    torch.manual_seed(0)
    published, ours = decoder_pair(num_classes, num_groups, in_channels=CHANNELS)
    feats = torch.rand(batch, CHANNELS, SIDE, SIDE)
    expected, logits = prediction(published, feats)(), prediction(ours, feats)()
    apart = (logits - expected).abs().max().item()
    note = f'without dropout the logits are at most {apart:.1g} apart, of {expected.std():.2g}'

    rows = []
    for what, make, train in (
        ('forward and backward, dropout 0.1', training_step, True),
        ('prediction', prediction, False),
    ):
        functions = dict(
            ours=make(ours.train(train), feats), peer=make(published.train(train), feats)
        )
        seconds = seconds_in_turn(functions, repeats)
        rows.append(
            Comparison(
                what=f'{name}, {what}, {batch} x {CHANNELS} x {SIDE} x {SIDE}',
                ours=seconds['ours'],
                unit='s',
                peer=seconds['peer'],
                peer_name="timm's MLDecoder",
                goal=1.4 if train and num_groups < num_classes else None,
                note='' if train else note,
            )
        )
    return rows


def main() -> None:
    """Measure and report."""
    parser = argument_parser(__doc__)
    parser.add_argument('--batch', type=int, default=8, help='photos')
    parser.add_argument('--threads', type=int, default=2, help='of torch')
    parser.add_argument('--repeats', type=int, default=7, help='timed rounds')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for name, sizes in CASES.items():
        rows += compare(name, *sizes, args.batch, args.repeats)
    report('ml_decoder_head', rows, args.out, ('torch', 'timm'))


if __name__ == '__main__':
    main()
