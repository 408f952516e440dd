"""Export: write a trained student as an artifact, if torch and ONNX agree."""
