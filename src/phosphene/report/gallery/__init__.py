"""A wall of every picture and a page a class: a folder of plain files, for one folder of maps or two side by side."""

from phosphene.report.gallery.site import write_gallery

__all__ = ["write_gallery"]
