"""Export: a trained student becomes an artifact, if torch and ONNX agree."""
