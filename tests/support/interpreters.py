"""Interpreters that have imported neither us nor the host, for scripts of tests."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Forks one for each script, when it has imported what the host imports of others, which takes most
# of the time.
SERVER = """
import json, os, sys, traceback
import cv2, matplotlib, torch._dynamo, torch.distributed.fsdp, torchvision.ops
assert not {'mmcv', 'mmengine', 'mmpretrain', 'mmpretrain_mldecoder'} & sys.modules.keys()
for line in sys.stdin:
    reader, writer = os.pipe()
    if not os.fork():
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        try:
            exec(json.loads(line), {})
            print('done')
        except BaseException:
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(0)
    os.close(writer)
    with open(reader) as printed:
        answer = printed.read()
    os.wait()
    print(json.dumps(answer), flush=True)
"""


@contextmanager
def interpreters() -> Iterator[Callable[[str], str]]:
    """Give what runs a script in an interpreter of its own, and returns what it printed."""
    with subprocess.Popen(
        [sys.executable, '-c', SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:

        def run(script: str) -> str:
            print(json.dumps(script), file=server.stdin, flush=True)
            printed = json.loads(server.stdout.readline())
            assert printed.endswith('done\n'), printed
            return printed

        yield run
        server.stdin.close()
