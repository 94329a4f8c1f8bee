"""A web server on this machine whose answers, good and bad, a test chooses."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Answer:
    """What the server sends; ``length`` is what it announces, by default the truth."""

    body: bytes = b''
    status: int = 200
    content_type: str = 'application/octet-stream'
    length: int | None = None


@dataclass
class Server:
    """Answers by path (404 for others), and the paths that were asked for."""

    url: str = ''
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server at ``Server.url`` until the block ends."""
    server = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition('?')[0]
            server.requests.append(path)
            answer = server.answers.get(path, Answer(status=404))
            self.send_response(answer.status)
            self.send_header('Content-Type', answer.content_type)
            length = len(answer.body) if answer.length is None else answer.length
            self.send_header('Content-Length', str(length))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        server.url = f'http://127.0.0.1:{httpd.server_port}'
        try:
            yield server
        finally:
            httpd.shutdown()
            thread.join()
