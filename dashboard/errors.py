"""What can go wrong in the business's own words. Raised anywhere below the views, mapped to pages once, in middleware."""

from __future__ import annotations


class DomainError(Exception):
    """Base of all: `str(error)` is one sentence that a user may read."""


class NotFound(DomainError):
    """The thing does not exist, or this person may not know that it does."""


class Expired(NotFound):
    """It existed and its time ran out."""


class Conflict(DomainError):
    """Somebody else was faster, or the thing is not in a state that allows this."""


class Forbidden(DomainError):
    """The person may see it, but not do this."""


class Invalid(DomainError):
    """Input that the business refuses: `fields` maps a field's name to what is wrong with it."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = fields


class StoreDown(DomainError):
    """The store does not answer. `uncertain` when a write was under way: it may or may not have happened."""

    def __init__(self, message: str = "The data store does not answer.", *, uncertain: bool = False) -> None:
        super().__init__(message)
        self.uncertain = uncertain
