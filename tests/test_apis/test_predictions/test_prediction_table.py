from mmpretrain_mldecoder.apis.predictions.prediction_run import PredictionTable


def test_columns_stand_under_each_other():
    predictions = [
        dict(path='a.jpg', labels=['dog', 'cat'], scores=[0.98765, 0.5]),
        dict(path='照片.jpg', labels=['鸟', 'dog'], scores=[1.0, 0.75]),
        dict(path='c.jpg', labels=[], scores=[]),
    ]
    table = PredictionTable([p['path'] for p in predictions], ['dog', 'cat', '鸟'])
    # Chinese characters are two columns wide.
    assert [table.row(p) for p in predictions] == [
        'a.jpg     dog 0.988  cat 0.500',
        '照片.jpg  鸟  1.000  dog 0.750',
        'c.jpg     -',
    ]


def test_name_that_is_no_utf8_can_be_printed():
    path = b'caf\xe9.jpg'.decode(errors='surrogateescape')
    row = PredictionTable([path], ['dog']).row(dict(path=path, labels=[], scores=[]))
    assert row == 'caf\\xe9.jpg  -'
    row.encode()
