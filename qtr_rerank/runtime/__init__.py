"""Runtime: run an artifact's graphs with ONNX Runtime. No torch."""
