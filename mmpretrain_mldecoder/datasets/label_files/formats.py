"""The formats of label files."""

from .azure import FORMAT as AZURE
from .class_folders import FORMAT as FOLDERS
from .coco_json import FORMAT as COCO
from .csv_labels import FORMAT as CSV
from .csv_labels import ROBOFLOW
from .cvat import FORMAT as CVAT
from .datumaro import FORMAT as DATUMARO
from .fiftyone import FORMAT as FIFTYONE
from .google import FORMAT as GOOGLE
from .image_lists import FORMAT as LISTS
from .json_records import FORMAT as JSON
from .json_records import HUGGING_FACE
from .label_studio import FORMAT as LABEL_STUDIO
from .labelme import FORMAT as LABELME
from .mmpretrain_json import FORMAT as MMPRETRAIN
from .voc import FORMAT as VOC
from .voc import LISTS as VOC_LISTS
from .yolo import FORMAT as YOLO

# The first one that recognises a file is its format.
_IN_ORDER = (COCO, MMPRETRAIN, DATUMARO, FIFTYONE, LABEL_STUDIO, HUGGING_FACE, GOOGLE, AZURE, JSON)
_IN_ORDER += (ROBOFLOW, LISTS, CSV, CVAT, VOC, VOC_LISTS, YOLO, LABELME, FOLDERS)
FORMATS = {format.name: format for format in _IN_ORDER}
