"""Web demo: a page that predicts uploaded images. Needs Gradio, the extra ``app``."""

import signal
from typing import Any

import gradio as gr

from ...apis.inference.multi_label_inferencer import MultiLabelInferencer
from ...fileio.terminal import counted
from ...models.attention import attention_kind
from .demo_view import attention_of, predict_photo

TITLE = 'What is in the photo?'
SECONDS_KEPT = 3600  # an uploaded image on the disk, and its prediction in memory
MAX_UPLOAD = '20mb'
MAX_WAITING = 20  # requests for the network, one of which runs; more are refused


def build_app(inferencer: MultiLabelInferencer) -> gr.Blocks:
    """Make the page: an image in, its labels with scores, and where the model looked for each.

    The network runs once per image. The threshold then only chooses among the scores, and a click
    on a label shows its attention, unless the head has none. A file that is no image is answered by
    a message. Nothing is sent anywhere: no usage statistics, and fonts and scripts come from this
    machine.
    """
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(SECONDS_KEPT, SECONDS_KEPT)
    ) as app:
        gr.Markdown(f'# {TITLE}')
        prediction, chosen = gr.State(time_to_live=SECONDS_KEPT), gr.State()
        with gr.Row():
            with gr.Column(scale=5):
                photo = gr.Image(
                    label='Photo',
                    type='filepath',
                    image_mode=None,
                    sources=['upload', 'clipboard'],
                    buttons=['fullscreen'],
                )
                threshold = gr.Slider(
                    0, 1, value=0.5, step=0.01, label='Threshold: lowest score of a label'
                )
            with gr.Column(scale=3):
                message = gr.Markdown('Drop a photo.', elem_id='message')
                labels = gr.Label(label='Labels', show_heading=False, visible=False)
            with gr.Column(scale=5, visible=attention_kind(inferencer.model) is not None):
                overlay = gr.Image(
                    label='Attention',
                    interactive=False,
                    # Not Gradio's third, which shares the image on the web.
                    buttons=['fullscreen', 'download'],
                    elem_id='overlay',
                )
                caption = gr.Markdown(elem_id='caption')
        shown = [message, labels, overlay, caption, chosen]

        def predict(upload: dict | None, thr: float) -> tuple:
            if upload is None:
                return None, *_show(None, thr, None)
            try:
                found = predict_photo(inferencer, upload['path'])
            except ValueError as error:
                return None, f'**⚠ {error}**', *_show(None, thr, None)[1:]
            return found, *_show(found, thr, None)

        # The upload as it is: Gradio's own reading of it would end in a traceback where it is no
        # image, and would turn and convert what the test pipeline must see untouched.
        photo.change(predict, [photo, threshold], [prediction, *shown], preprocess=False)
        threshold.change(
            _show,
            [prediction, threshold, chosen],
            shown,
            trigger_mode='always_last',
            show_progress='hidden',
        )

        def choose(found: dict | None, thr: float, click: gr.SelectData) -> tuple:
            return _show(found, thr, click.value)

        labels.select(choose, [prediction, threshold], shown, show_progress='hidden')
    return app


def serve(app: gr.Blocks, host: str, port: int) -> None:
    """Serve the page until Ctrl-C or SIGTERM, which both delete what was uploaded.

    Files of up to 20 MB are accepted, and 20 requests wait. Only files in Gradio's own folder are
    served. For a public page, put a proxy with limits in front. The ``host`` ``'127.0.0.1'`` is
    reached from this machine only. Raises ``OSError`` if the port is taken, or the address is not
    this machine's.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app.queue(max_size=MAX_WAITING, default_concurrency_limit=1)
    app.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        footer_links=[],
        max_file_size=MAX_UPLOAD,
    )


def _show(prediction: dict | None, thr: float, chosen: str | None) -> tuple[Any, ...]:
    """Return message, labels, overlay, caption and chosen label for what is over the threshold."""
    hidden = gr.Label(value=None, visible=False)
    no_overlay = gr.Image(value=None, label='Attention')
    if prediction is None:
        return 'Drop a photo.', hidden, no_overlay, '', None
    scores = dict(zip(prediction['labels'], prediction['scores'], strict=True))
    found = {label: score for label, score in scores.items() if score >= thr}
    best = prediction['labels'][0]
    if not found:
        message = f'No label reaches {thr:.2f}. The best is **{best}** with {scores[best]:.2f}.'
        return message, hidden, no_overlay, '', chosen
    number = counted(len(found), 'label')
    labels = gr.Label(value=found, visible=True)
    if 'attention' not in prediction:
        return number, labels, no_overlay, '', None
    shown = chosen if chosen in found else best
    overlay, caption = attention_of(prediction, shown)
    title = f'Attention: {shown} ({found[shown]:.2f})'
    message = f'{number}. Click one to see where the model looked for it.'
    return message, labels, gr.Image(value=overlay, label=title), caption, chosen
