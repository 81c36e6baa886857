"""The same concepts under two models: what each makes of the other's pictures, and which concepts changed most."""
