import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.runner import CheckpointLoader

from mmpretrain_mldecoder.checkpoints import weight_sets
from mmpretrain_mldecoder.checkpoints.weight_sets import choose, split_fragment, without_wrappers


def state(value: float) -> dict[str, torch.Tensor]:
    return {'conv.weight': torch.full((2, 1), value), 'conv.bias': torch.full((2,), value)}


def value_of(weights) -> float:
    assert {*weights} == {'conv.weight', 'conv.bias'}
    return float(weights['conv.bias'][0])


OPTIMIZER = dict(
    state={0: dict(step=torch.ones(1), exp_avg=torch.ones(9))}, param_groups=[dict(params=[0])]
)


@pytest.mark.parametrize(
    'key', ['state_dict', 'model', 'model_state_dict', 'net', 'module', 'params', 'weights', 'x']
)
def test_one_set_is_found_under_any_key(key):
    more = dict(epoch=3, optimizer=OPTIMIZER, lr_scheduler=dict(_last_lr=[0.1]), arch='r50')
    for content in (
        {key: state(1)},
        {key: state(1)} | more,
        dict(checkpoint={key: state(1)}) | more,
    ):
        assert value_of(choose(content, 'a.pth').state) == 1
    assert choose({key: state(1)}, 'a.pth').path == key


@pytest.mark.parametrize(
    ('taken', 'other'),
    [
        ('state_dict_ema', 'state_dict'),  # timm
        ('model_ema', 'model'),  # torchvision's references
        ('params_ema', 'params'),  # BasicSR
        ('teacher', 'student'),  # DINO
        ('ema', 'model'),
        ('ema_model', 'model_state_dict'),
        ('swa_state_dict', 'state_dict'),
        ('state_dict', 'current_model_state'),  # Lightning's WeightAveraging
        ('state_dict', 'ema_state_dict'),  # MMEngine's, which swaps them
        ('model', 'mean_and_std'),
    ],
)
def test_the_set_that_is_evaluated(taken, other, monkeypatch):
    logged = []
    monkeypatch.setattr(weight_sets, 'print_log', lambda line, logger: logged.append(line))
    for content in ({other: state(2), taken: state(1)}, {taken: state(1), other: state(2)}):
        found = choose(content | dict(epoch=1), 'a.pth')
        assert value_of(found.state) == 1 and found.path == taken
        said = logged.pop()
        assert taken in said and f'{other} (2 tensors)' in said and f'a.pth#{other}' in said
        assert value_of(choose(content, 'a.pth', other).state) == 2
        assert value_of(choose(content, 'a.pth', taken).state) == 1


def test_checkpoints_of_mmengine_are_not_asked():
    own = dict(meta=dict(epoch=1), state_dict=state(1), ema_state_dict=state(2), teacher=state(3))
    found = choose(own, 'a.pth')
    assert found.state is own['state_dict']
    assert value_of(choose(own, 'a.pth', 'ema_state_dict').state) == 2


def test_fragments():
    two = {f'q.{n}': v for n, v in state(1).items()} | {f'k.{n}': v for n, v in state(2).items()}
    content = dict(state_dict={f'module.{name}': value for name, value in two.items()})
    for fragment in ('k', 'k.', 'module.k', 'state_dict.k', 'state_dict.module.k'):
        assert value_of(choose(content, 'a.pth', fragment).state) == 2, fragment
    nested = dict(state=dict(model=content, optimizers=OPTIMIZER))
    for fragment in ('q', 'state.q', 'state.model.state_dict.q'):
        assert value_of(choose(nested, 'a.pth', fragment).state) == 1, fragment
    with pytest.raises(ValueError, match=r"nothing called 'z'.*state_dict.*begin with k, q"):
        choose(content, 'a.pth', 'z')


def test_a_file_may_have_the_sign_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(model=state(1), model_ema=state(2)), 'a.pth')
    torch.save(state(3), 'a.pth#model')
    torch.save(state(4), 'b#1.pth')
    load = CheckpointLoader.load_checkpoint
    assert value_of(load('a.pth')['state_dict']) == 2
    assert value_of(load('a.pth#model')) == 3 and value_of(load('b#1.pth')) == 4
    (tmp_path / 'a.pth#model').unlink()
    assert value_of(load('a.pth#model')['state_dict']) == 1
    assert split_fragment('https://host/a.pth?b=1#c') == ('https://host/a.pth?b=1', 'c')


NAMES = st.lists(st.sampled_from(['layer1', '0', 'conv', 'my_orig_mod', 'module_list']), min_size=1)
WRAPPERS = st.lists(
    st.sampled_from(['_orig_mod', '_fsdp_wrapped_module', '_checkpoint_wrapped_module'])
)


@settings(max_examples=50)
@given(st.lists(NAMES, min_size=1, max_size=4, unique_by=tuple), st.data())
def test_what_wrappers_leave_in_names(names, data):
    plain = {'.'.join(['a', *parts, 'weight']): index for index, parts in enumerate(names)}
    wrapped = {}
    for name, value in plain.items():
        parts = [[*data.draw(WRAPPERS), part] for part in name.split('.')]
        wrapped['.'.join(part for some in parts for part in some)] = value
    prefix = 'module.' * data.draw(st.integers(0, 2))
    wrapped = {f'{prefix}{name}': value for name, value in wrapped.items()}
    if prefix and data.draw(st.booleans()):
        wrapped['n_averaged'] = 7
    assert without_wrappers(wrapped) == (prefix, plain)


@pytest.mark.parametrize(
    ('content', 'what'),
    [
        ({}, 'an empty dict'),
        (OPTIMIZER, 'the state of an optimizer.*name the file of the model beside it'),
        (dict(optimizer=OPTIMIZER, lr_scheduler={}), 'the state of an optimizer'),
        (dict(pred_score=[0.1], img_path='a.jpg'), 'no weights by name, but pred_score, img_path'),
        (dict(epoch=torch.tensor(3)), 'no weights by name, but epoch'),
    ],
)
def test_what_holds_no_weights(content, what):
    with pytest.raises(ValueError, match=f'a.pth holds {what}'):
        choose(content, 'a.pth')
