import asyncio

from mmpretrain_mldecoder.analysis.web_demo.upload_rate import UploadRate


def statuses(requests, uploads=2):
    """Send (seconds, path, address) one after another; 200 stands for the app itself."""
    now, sent = 0, []

    async def app(scope, receive, send):
        await send(dict(type='http.response.start', status=200))

    async def send(message):
        if 'status' in message:
            sent.append(message['status'])

    limited = UploadRate(app, uploads, clock=lambda: now)
    for seconds, path, address in requests:
        now = seconds
        asyncio.run(limited(dict(type='http', path=path, client=(address, 1)), None, send))
    return sent


def test_uploads_of_one_address_are_limited():
    upload = '/gradio_api/upload'
    requests = [
        (0, upload, 'a'),
        (1, upload, 'a'),
        (2, upload, 'a'),  # the third within a minute
        (2, upload + '/', 'a'),
        (2, upload, 'b'),
        (3, '/gradio_api/queue/join', 'a'),
        (61, upload, 'a'),
        (61.5, upload, 'a'),
        (61.6, upload, 'a'),
    ]
    assert statuses(requests) == [200, 200, 429, 429, 200, 200, 200, 200, 429]
