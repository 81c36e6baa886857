"""What the scanner measures: one file a statistic, and `registry.STATISTICS`, the only place that names them all."""
