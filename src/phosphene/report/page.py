"""The frame of every page: templates, number formats, embedded pictures.

A page is one HTML file that needs nothing else: pictures are data URIs, styles are inline, there is no script.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from PIL import Image

from phosphene.core.text import make_visible
from phosphene.report.pictures import is_pixel_grid, rescale


def render_template(name: str, **values: Any) -> str:
    """The HTML of a template of `templates/`."""
    return make_environment().get_template(name).render(values)


def make_environment() -> jinja2.Environment:
    """Everything is escaped, because names in an artifact or a record may come from anywhere."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("phosphene.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_show_hidden,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "probability": format_probability,
        "rate": format_rate,
        "number": format_number,
        "p_value": format_p_value,
    }
    return environment


def _show_hidden(value: Any) -> Any:
    """Text with its control characters and its turns of direction as numbers; markup stays markup."""
    return type(value)(make_visible(value)) if isinstance(value, str) else value


def format_probability(share: float) -> str:
    """A softmax probability in per cent: never exactly 0 or 1, so never rounded to 0% or 100%."""
    if share < 0.001:
        return "<0.1%"
    return ">99.9%" if share > 0.999 else f"{share:.1%}"


def format_rate(share: float) -> str:
    """A measured share in per cent; only exact 0 and 1 are written 0% and 100%."""
    return f"{share:.0%}" if share in (0, 1) else format_probability(share)


def format_p_value(value: float) -> str:
    """Two significant digits; below 0.001 more digits would claim more than a test can know."""
    return "<0.001" if value < 0.001 else f"{value:.2g}"


def format_number(value: float) -> str:
    """Two decimals and a typographic minus sign."""
    return f"{value:.2f}".replace("-", "−")


def format_value(value: Any) -> str:
    """A value of a recipe or of settings in words: `grey (sigma 0.1)`."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name} {format_value(item)}" for name, item in value.items() if name != "kind")
        kind = str(value.get("kind", ""))
        return f"{kind} ({inner})" if kind and inner else kind or inner
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(format_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def format_fields(record: Mapping[str, Any]) -> dict[str, str]:
    """Rows of a table of settings: names with spaces for underscores, values in words."""
    return {name.replace("_", " "): format_value(value) for name, value in record.items()}


@dataclass(frozen=True)
class Picture:
    """An embedded image: its data URI and size in pixels; `grid`: so small that its pixels stay visible."""

    uri: str
    width: int
    height: int
    grid: bool


def embed(image: Image.Image, side: int, quality: int) -> Picture:
    """The image, made smaller where it exceeds `side`: PNG where single pixels matter, WebP where it is transparent."""
    shown = rescale(image, side) if max(image.size) > side else image
    grid = is_pixel_grid(shown)
    kind = "png" if grid else "webp" if shown.mode == "RGBA" else "jpeg"
    stream = io.BytesIO()
    shown.save(stream, kind, quality=quality, optimize=True)
    return Picture(data_uri(stream.getvalue(), kind), *shown.size, grid)


def data_uri(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
