import torch
from torch import nn

from mmpretrain_mldecoder.checkpoints.fit import below, compare, listed


def test_every_kind_of_misfit():
    module = nn.ModuleDict(dict(a=nn.Linear(2, 3), b=nn.BatchNorm1d(2)))
    state = {
        'a.weight': torch.zeros(3, 4),
        'a.more': torch.zeros(1),
        'b.weight': torch.zeros(2),
        'b.running_var': torch.zeros(2),
        'c.weight': torch.zeros(1),
    }
    misfit = compare(module, state)
    assert misfit.missing == ('a.bias', 'b.bias', 'b.running_mean')  # num_batches_tracked is not
    assert misfit.misshaped == {'a.weight': ((3, 4), (3, 2))}
    assert misfit.left_over == ('a.more',) and misfit.foreign == ('c.weight',)
    assert str(misfit) == (
        '3 missing (a.bias, b.bias, b.running_mean); 1 of another shape (a.weight: (3, 4) in the '
        'file, (3, 2) in the model); 1 left over (a.more)'
    )


def test_fitting_state_dict():
    module = nn.Linear(2, 3)
    misfit = compare(module, module.state_dict())
    assert str(misfit) == '' and not misfit.foreign


def test_names():
    assert listed('abcde') == 'a, b, c, d, ...' and listed('abcd') == 'a, b, c, d'
    state = {'backbone.a': torch.ones(1), 'backbones.a': torch.ones(1)}
    assert list(below(state, 'backbone.')) == ['a']
