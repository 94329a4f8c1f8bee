"""A checkpoint as one file that is enough to predict: ONNX, torch.export."""
