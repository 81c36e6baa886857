"""The page of a backdoor scan, from its record alone: neither the model nor its weights are needed."""

from phosphene.report.scan.page import write_scan_report

__all__ = ["write_scan_report"]
