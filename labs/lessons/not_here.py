"""What stands for a host, a socket, a program that a recorded cell had and this kernel has not."""

from typing import Any, NoReturn

from labs.errors import LabError

__all__ = ["NotHere"]


class NotHere:
    """Stands where the recorded cell bound something live.  Whatever is done with it raises LabError, which says why.

    why: what follows the name in that sentence, "belongs to …".
    """

    __slots__ = ("_name", "_why")
    shown_as = "something that only the recording has"

    def __init__(self, name: str, why: str):
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_why", why)

    def __repr__(self) -> str:
        return f"`{self._name}` {self._why}. This cell is not one of the recording's, or it was changed since."

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("_"):  # how Python and IPython ask what an object can do
            raise AttributeError(attribute)
        _refuse(self)

    __hash__ = object.__hash__


def _refuse(self: NotHere, *args: Any, **how: Any) -> NoReturn:
    raise LabError(repr(self))


# Python looks these up on the class, past __getattr__.
for _name in (
    "call setattr delattr len bool iter next contains getitem setitem delitem enter exit aenter aexit aiter anext await "
    "eq ne lt le gt ge add radd sub rsub mul rmul truediv rtruediv or ror and rand int float index bytes fspath format"
).split():
    setattr(NotHere, f"__{_name}__", _refuse)
