"""Pages: one HTML file of a folder of maps, of a scan, of a study.

page          the frame of all pages: templates, number formats, embedded pictures
maps          the page of a folder of maps; `section` describes one map of it, `evidence` the scores of the run
scan          the page of a scan; `scans` that of a folder of them
study         the page of a study
pictures      heat, overlay, strip and other pictures of a finished map
reproduce     the command line and the Python lines that make a map again
"""

from phosphene.report.maps import write_report

__all__ = ["write_report"]
