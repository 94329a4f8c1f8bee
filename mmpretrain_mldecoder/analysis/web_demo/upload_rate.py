"""A limit to how often one visitor of the web demo may upload."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

MAX_VISITORS = 10_000  # remembered; the one that was quiet longest is forgotten


class UploadRate:
    """ASGI middleware that answers 429 to uploads beyond a number a minute and address.

    Gradio's queue limits what waits for the network, not the files that are put on the disk.

    Args:
        app (Callable): The ASGI app.
        uploads (int): A minute and address, at least 1. Defaults to 30.
        clock (Callable): Gives seconds. Defaults to ``time.monotonic``.
    """

    def __init__(self, app: Callable, uploads: int = 30, clock: Callable = time.monotonic):
        self._app, self._uploads, self._clock = app, uploads, clock
        self._times: OrderedDict[str, deque] = OrderedDict()

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """Pass a request on, or refuse it."""
        is_upload = scope['type'] == 'http' and scope['path'].rstrip('/').endswith('/upload')
        if is_upload and not self._admits((scope.get('client') or ('unknown',))[0]):
            headers = [(b'content-type', b'text/plain'), (b'retry-after', b'60')]
            await send(dict(type='http.response.start', status=429, headers=headers))
            await send(dict(type='http.response.body', body=b'Too many uploads: wait a minute.'))
            return
        await self._app(scope, receive, send)

    def _admits(self, visitor: str) -> bool:
        now = self._clock()
        times = self._times.setdefault(visitor, deque(maxlen=self._uploads))
        self._times.move_to_end(visitor)
        if len(self._times) > MAX_VISITORS:
            self._times.popitem(last=False)
        if len(times) == self._uploads and now - times[0] < 60:
            return False
        times.append(now)
        return True
