"""ONNX files as models: a file becomes a module of torch operators, one submodule a node, with gradients."""
