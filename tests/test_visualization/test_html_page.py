import pytest

from mmpretrain_mldecoder.version import __version__
from mmpretrain_mldecoder.visualization.html_page import read_page_data, write_page


@pytest.mark.parametrize(
    'text', ['</script><b>', '<!--<script>', "{{scripts}} & '\u2028", '\udc80']
)
def test_data_comes_back_and_ends_nothing(tmp_path, text):
    body, page = tmp_path / 'body.html', tmp_path / 'page.html'
    body.write_text('<main>{{part}}</main>')
    body.with_suffix('.css').write_text('main { color: red; }')
    (tmp_path / 'own.js').write_text('fillFrame([]);')
    write_page(page, body, ['own'], 'test', {text: [text, 1.5]}, part='<p>{{data}}</p>')
    assert read_page_data(page) == {text: [text, 1.5], 'version': __version__}
    written = page.read_text()
    assert written.count('</script>') == 2 and written.count('<script') == 2
    assert '--paper' in written and 'color: red' in written and 'fillFrame([])' in written
    assert '<main><p>{{data}}</p></main>' in written and '<title>test</title>' in written


def test_another_page_has_no_data(tmp_path):
    (tmp_path / 'page.html').write_text('<p>')
    with pytest.raises(ValueError, match=r'page\.html has no data'):
        read_page_data(tmp_path / 'page.html')
