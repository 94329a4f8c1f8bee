from pycocotools.coco import COCO
from tiny_run import load_main, refusal

run = load_main('dataset_tools/make_demo_dataset')


def test_writes_then_reuses_then_refuses(tmp_path, capsys):
    out = tmp_path / 'demo'
    args = [f'--out={out}', '--num-train=3', '--num-val=2', '--size=40', '--seed=5']
    run(args)
    assert f'{out} is written' in capsys.readouterr().out
    for split, num in (('train', 3), ('val', 2)):
        images = COCO(out / 'annotations' / f'instances_{split}2017.json').imgs.values()
        assert [image['width'] for image in images] == [40] * num
    run(args)
    assert f'{out} is reused' in capsys.readouterr().out
    assert 'is not the demo dataset requested' in refusal(capsys, run, [f'--out={out}'])
