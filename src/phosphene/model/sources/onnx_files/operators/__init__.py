"""What each ONNX operator computes, in torch: one function an operator, one table of them in `table`."""
