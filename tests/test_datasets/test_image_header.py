import pytest
from faulty_images import encoded, orientation, photo
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpretrain_mldecoder.datasets.image_header import ImageHeader, read_image_header


@pytest.mark.parametrize('format', ['JPEG', 'PNG', 'WEBP', 'BMP'])
def test_both_ways_to_read_a_header_agree(format):
    content = encoded(photo(0), format, exif=orientation(6))
    turned = 1 if format == 'BMP' else 6
    full = ImageHeader(format, (60, 80), mode='RGB', orientation=turned)
    assert read_image_header(content) == full
    fast = read_image_header(content, in_full=False)
    assert fast == full._replace(mode=fast.mode)
    assert (fast.mode == '') == (format in ('JPEG', 'PNG'))
    assert read_image_header(b'no image') is None


def header(content):
    return read_image_header(content, in_full=False)


def is_complete(content):
    return header(content).complete


def test_size_is_found_behind_padding_and_not_in_what_is_cut_short():
    content = encoded(photo(0, 70, 90))
    assert header(content).size == (70, 90)
    assert header(content[:2] + b'\xff\xff' + content[2:]).size == (70, 90)
    for other in (content[:30], content[:2] + b'\0' * 90):
        assert header(other).size == (0, 0) and not is_complete(other)


@pytest.mark.parametrize('options', [{}, dict(progressive=True), dict(exif=orientation(6))])
def test_a_jpeg_is_complete_to_its_last_marker(options):
    content = encoded(photo(0), quality=95, **options)
    assert is_complete(content) and is_complete(content + bytes(10))
    for cut in (2, 3, 100, 1000):
        assert not is_complete(content[:-cut])
        assert not is_complete(content[:-cut] + bytes(10))


def test_the_end_of_a_thumbnail_is_not_that_of_the_image():
    thumbnail = encoded(photo(1, 8, 8))
    assert thumbnail.endswith(b'\xff\xd9')
    segment = b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    plain = encoded(photo(0))
    content = plain[:2] + segment + plain[2:]
    assert is_complete(content)
    assert not is_complete(content[: len(content) // 2 + len(segment) // 2])


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([b'\xff\xd8', b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR']),
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([b'\xff\xe1\0\x08Exif\0\0', b'\0\0\0\x08eXIfII*\0\x08\0\0\0', b'IDAT']),
            st.sampled_from(
                [b'\xff\xc0\0\x11\x08\0\x10\0\x10', b'\xff\xda', b'\xff\xff\xff\xffiTXt']
            ),
        ),
        max_size=8,
    ),
)
def test_whatever_follows_a_signature_is_a_header_or_none(start, parts):
    header = read_image_header(start + b''.join(parts), in_full=False)
    assert header is None or (header.orientation in range(1, 9) and min(header.size) >= 0)
