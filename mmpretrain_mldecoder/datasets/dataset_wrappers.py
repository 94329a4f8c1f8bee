"""Access to the datasets inside MMEngine's and torch's dataset wrappers."""

from torch.utils.data import Dataset


def inner_datasets(dataset: Dataset) -> list[Dataset]:
    """Return a dataset and all that it wraps (concatenated, repeated, sliced, ...), each once."""
    found = {id(dataset): dataset}
    wrapped = [getattr(dataset, name, None) for name in ('dataset', '_dataset')]
    for inner in [*wrapped, *getattr(dataset, 'datasets', [])]:
        if inner is not None:
            found |= {id(each): each for each in inner_datasets(inner)}
    return list(found.values())
