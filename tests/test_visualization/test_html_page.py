import pytest

from mmpretrain_mldecoder.visualization.html_page import TEMPLATE, read_page_data, render_page

PARTS = TEMPLATE / 'live.html', [TEMPLATE / 'page.css'], [TEMPLATE / 'live.js']


@pytest.mark.parametrize(
    'text', ['</script><b>', '<!--<script>', "{{scripts}} & '\u2028", '\udc80']
)
def test_data_comes_back_and_ends_nothing(tmp_path, text):
    page = tmp_path / 'page.html'
    page.write_text(render_page(*PARTS, {text: [text, 1.5]}))
    assert read_page_data(page) == {text: [text, 1.5]}
    written = page.read_text()
    assert written.count('</script>') == 2 and written.count('<script') == 2
    assert '--paper' in written and 'sessionStorage' in written


def test_another_page_has_no_data(tmp_path):
    (tmp_path / 'page.html').write_text('<p>')
    with pytest.raises(ValueError, match=r'page\.html has no data'):
        read_page_data(tmp_path / 'page.html')
