"""The fixture of all tests that need the peers' interpreter; they skip without it."""

import os

import peer_python
import pytest


@pytest.fixture(scope='session')
def run_paddle():
    """``run_paddle(script, *arguments, checkout=None)`` runs a script of this folder there.

    ``checkout`` is the environment variable that names the PaddleClas to run; it skips if unset.
    """
    if not peer_python.paddle_python().exists():
        pytest.skip(
            f'no PaddlePaddle: {peer_python.paddle_python()} is absent (run make test-peers, or '
            'set PADDLE_PYTHON to an interpreter that has what it installs)'
        )

    def run(script: str, *arguments: object, checkout: str | None = None) -> None:
        if checkout:
            if not os.environ.get(checkout):
                pytest.skip(f'no repository of PaddleClas: set {checkout} (docs/recipe.md)')
            arguments = (*arguments, '--checkout', os.environ[checkout])
        peer_python.run_paddle(script, *arguments)

    return run
