"""The formats of label files."""

from . import (
    azure,
    class_folders,
    coco_json,
    csv_labels,
    cvat,
    datumaro,
    fiftyone,
    google_csv,
    google_jsonl,
    hugging_face,
    image_lists,
    label_studio,
    mmpretrain_json,
    paddleclas,
    roboflow,
    voc,
    yolo,
)

# The first one that recognises a file is its format.
FORMATS = {
    format.name: format
    for format in (
        coco_json.FORMAT,
        mmpretrain_json.FORMAT,
        datumaro.FORMAT,
        fiftyone.FORMAT,
        label_studio.FORMAT,
        hugging_face.FORMAT,
        google_jsonl.FORMAT,
        google_csv.FORMAT,
        azure.FORMAT,
        roboflow.FORMAT,
        paddleclas.FORMAT,
        image_lists.FORMAT,
        csv_labels.FORMAT,
        cvat.FORMAT,
        voc.FORMAT,
        yolo.FORMAT,
        class_folders.FORMAT,
    )
}
