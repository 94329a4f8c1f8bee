from mmpretrain_mldecoder.datasets.image_files import missing_files


def test_files_of_several_folders(tmp_path, monkeypatch):
    (tmp_path / 'a').mkdir()
    for name in ('a/1.jpg', '2.jpg'):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    paths = ['a/1.jpg', 'a/3.jpg', '2.jpg', '4.jpg', 'b/1.jpg', str(tmp_path / 'a/1.jpg')]
    assert missing_files('', paths) == ['a/3.jpg', '4.jpg', 'b/1.jpg']
