"""Types of a record's numbers with their limits, checked when it is read and written into its JSON schema."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

Item = TypeVar("Item")

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Size = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
NonEmpty = Annotated[tuple[Item, ...], msgspec.Meta(min_length=1)]
Png = Annotated[str, msgspec.Meta(extra_json_schema={"contentEncoding": "base64", "contentMediaType": "image/png"})]
