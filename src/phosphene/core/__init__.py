"""What knows no model and no concept: tensors, files, numbers."""
