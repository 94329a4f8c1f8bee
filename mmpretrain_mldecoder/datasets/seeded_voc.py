"""VOC for ``SeededSampler``, with annotations of other tools."""

from xml.etree import ElementTree

from mmpretrain.datasets import VOC
from mmpretrain.registry import DATASETS

from .seeded_sampler import SeededSamplesMixin
from .skip_unreadable import SkipUnreadableMixin


@DATASETS.register_module()
class SeededVOC(SeededSamplesMixin, SkipUnreadableMixin, VOC):
    """MMPretrain's ``VOC`` for use with ``SeededSampler``; arguments as there.

    ``max_unreadable`` is one more, by default 10: see :class:`SkipUnreadableMixin`. Differs from
    the host's in: an object without ``<difficult>``, as many annotation tools write it, is not
    difficult. ``PortableRunner`` uses this class for ``type='VOC'``.

    Raises:
        ValueError: If an annotation is not XML, or has a ``<difficult>`` other than 0 and 1.
    """

    def _get_labels_from_xml(self, img_id: str) -> tuple[list[int], list[int]]:
        path = self.backend.join_path(self.ann_prefix, f'{img_id}.xml')
        labels: dict[str, set[int]] = {'0': set(), '1': set()}
        try:
            for each in ElementTree.fromstring(self.backend.get(path)).findall('object'):
                if (name := each.findtext('name')) in self.class_to_idx:
                    is_difficult = (each.findtext('difficult') or '').strip() or '0'
                    labels[is_difficult].add(self.class_to_idx[name])
        except (ElementTree.ParseError, KeyError) as error:
            what = 'not XML' if isinstance(error, ElementTree.ParseError) else 'with <difficult> of'
            raise ValueError(
                f'{path} is {what} ({error}): correct it, or remove its image from the list'
            ) from error
        return list(labels['0']), list(labels['1'])
