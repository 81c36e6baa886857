"""Records of phosphene 0.1 in the form of today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phosphene.scanner.statistics.registry import split_settings

OWN_FIELDS = ("index", "name", "score", "depth", "outliers")  # of a class in a scan; the others were statistics


def upgrade_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`short` held the iterations of each family, and `long` those of the long searches."""
    kept = {name: value for name, value in settings.items() if name not in ("short", "long")}
    short = {f"{family}_iterations": settings["short"].get(family, 0) for family in OLD_FAMILIES}
    return {**kept, **short, "long_iterations": settings["long"]}


OLD_FAMILIES = ("patch", "additive", "colour", "warp")


def upgrade_scan(record: Mapping[str, Any]) -> dict[str, Any]:
    """A scan of format 1, in which a class held its statistics beside its own fields."""
    model = {**record["model"], "outputs": record["model"]["classes"]}
    pairs = record["pairs"] and {name: record["pairs"][name] for name in ("classes", "easiness")}
    classes = [_upgrade_class(one) for one in record["classes"]]
    settings = upgrade_settings(record["settings"])
    return {**record, "model": model, "pairs": pairs, "classes": classes, "settings": settings, "format": 2}


def _upgrade_class(record: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: record[name] for name in OWN_FIELDS}
    return {**own, "statistics": {name: value for name, value in record.items() if name not in own}}


def upgrade_table(record: Mapping[str, Any]) -> dict[str, Any]:
    """A reference table of format 1, whose settings were those of all columns."""
    names = {name for row in record["rows"] for name in (*row["classes"], *row["whole"])}
    known = split_settings(upgrade_settings(record["settings"])) if record["settings"] else {}
    columns = {name: settings for name, settings in known.items() if name in names}
    rows = [{**row, **{part: _keep(row[part], known) for part in ("classes", "whole")}} for row in record["rows"]]
    return {"name": record["name"], "command": record["command"], "columns": columns, "rows": rows}


def _keep(values: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Those of statistics that there still are; all of a table without settings."""
    return {name: value for name, value in values.items() if name in known or not known}
