"""What every part of the stack config has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


def refuse(accepted: str) -> PydanticCustomError:
    """An error whose text is what would have been accepted."""
    return PydanticCustomError("not_accepted", "{accepted}", {"accepted": accepted})


class Section(BaseModel):
    """Base of all parts of the stack config."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
