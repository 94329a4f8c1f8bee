"""Export of a checkpoint to one file that is enough to predict: ONNX, torch.export."""
