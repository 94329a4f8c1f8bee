"""Labels that are suspected to be wrong, by confident learning.

Source: Northcutt et al., "Confident Learning", arXiv:1911.00068, by the package ``cleanlab``.
"""

from typing import NamedTuple

import numpy as np

from ...errors import RunError


class Suspicion(NamedTuple):
    """A label that may be missing or spurious."""

    image: int
    label: int
    given: int  # 0, and the label is missing perhaps; or 1, and it is spurious perhaps
    score: float  # of the class, in [0, 1]

    @property
    def kind(self) -> str:
        """``'missing'`` or ``'spurious'``."""
        return 'spurious' if self.given else 'missing'


def check_cleanlab() -> None:
    """Raise a ``RunError`` if cleanlab is not installed."""
    try:
        import cleanlab.filter  # noqa: F401
    except ModuleNotFoundError as error:
        raise RunError(f"{error}: an audit needs pip install 'cleanlab>=2.7'") from error


def find_suspicions(scores: np.ndarray, targets: np.ndarray) -> list[Suspicion]:
    """Find the labels that cleanlab takes for errors.

    They are ordered by how far the score is from the label, a missing and a spurious one in turn:
    scores of images that lack a rare class are all near 0, and would come first.

    Each class is judged on its own, yes against no, on its known labels. An error is a label whose
    image scores for the other value as high as images do, on average, that have that value
    (``filter_by='confident_learning'``). Scores and targets, ``(N, C)``, are those of
    :func:`.out_of_sample_scores`.
    """
    from cleanlab.filter import find_label_issues

    found = []
    for label in range(targets.shape[1]):
        known = np.flatnonzero((targets[:, label] >= 0) & ~np.isnan(scores[:, label]))
        given = targets[known, label].astype(int)
        if len(set(given.tolist())) < 2:
            continue
        yes = scores[known, label].astype(np.float64)
        both = np.stack([1 - yes, yes], axis=1)
        issues = find_label_issues(given, both, filter_by='confident_learning', n_jobs=1)
        found += [
            Suspicion(int(known[i]), label, int(given[i]), float(yes[i]))
            for i in np.flatnonzero(issues)
        ]
    missing = sorted((s for s in found if not s.given), key=lambda s: -s.score)
    spurious = sorted((s for s in found if s.given), key=lambda s: s.score)
    ranked = [*enumerate(missing), *enumerate(spurious)]
    return [suspicion for _, suspicion in sorted(ranked, key=lambda each: each[0])]
