"""The fixture of all tests that need PaddlePaddle; they skip without its interpreter."""

import pytest
from peer_python import paddle_python
from peer_python import run_paddle as _run_paddle


@pytest.fixture(scope='session')
def run_paddle():
    """``run_paddle(script, *arguments)`` runs a script of this folder in Paddle's interpreter."""
    if not paddle_python().exists():
        pytest.skip(
            f'no PaddlePaddle: {paddle_python()} is absent (run make test-peers, or set '
            'PADDLE_PYTHON to an interpreter that has paddlepaddle and paddleclas)'
        )
    return _run_paddle
