"""Serve the web demo, a page that predicts images: python tools/demo_app.py CONFIG CKPT."""

import argparse

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.fileio.terminal import one_line

WRONG = (OSError, ValueError, RuntimeError, ImportError, KeyError, SyntaxError)


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of the model')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--device', help='cuda, cpu, ...; default: what the machine has')
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to listen on; 0.0.0.0: for other machines too'
    )
    parser.add_argument('--port', type=int, default=7860, help='port to listen on')
    return parser, parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Load the model and serve the page until Ctrl-C."""
    parser, args = parse_args(argv)
    if not 1 <= args.port <= 65535:
        parser.error(f'--port must be from 1 to 65535, but is {args.port}')
    try:
        from mmpretrain_mldecoder.analysis.web_demo.demo_app import build_app, serve
    except ModuleNotFoundError as error:
        if error.name != 'gradio':
            raise
        parser.error('the web demo needs gradio: pip install gradio')
    try:
        inferencer = MultiLabelInferencer(args.config, args.checkpoint, args.device)
    except WRONG as error:
        parser.error(one_line(error))
    app = build_app(inferencer)
    print(f'serving on http://{args.host}:{args.port} until Ctrl-C', flush=True)
    try:
        serve(app, args.host, args.port)
    except OSError:
        parser.error(
            f'cannot listen on {args.host}:{args.port}: the port is taken, or the address is not '
            "this machine's"
        )


if __name__ == '__main__':
    main()
