"""The base of every options class: frozen, and an unknown key is an error."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Immutable, strictly checked options; subclasses live beside what they configure."""

    model_config = ConfigDict(frozen=True, extra="forbid")
