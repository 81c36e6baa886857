"""Every class of a model in one run that can be resumed: which classes, at what cost, and what came out."""
