"""Fitted models as files: their numbers and arrays in one JSON file, beside it the files that LightGBM and Keras write."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter

MODEL_FILE: Final = "model.json"

Numbers = Annotated[npt.NDArray[Any], PlainValidator(np.asarray), PlainSerializer(np.ndarray.tolist, return_type=list)]
"""An array of a stored model, as nested lists."""
Unstored = Annotated[Any, PlainValidator(lambda value: value), Field(exclude=True)]
"""A field that is not in the JSON file, with a default: not stored, or stored in a file of its own."""


class StoredModel:
    """A dataclass of JSON values, `Numbers` and `Unstored` fields that is stored as one JSON file."""

    def files(self) -> dict[str, bytes]:
        """Content by file name."""
        return {MODEL_FILE: TypeAdapter(type(self)).dump_json(self, indent=1)}

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        """The model that `files` gave.

        Raises:
            pydantic.ValidationError: the file does not hold its fields; a ValueError.
        """
        return TypeAdapter(cls).validate_json(files[MODEL_FILE])


def prefixed(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a member as its stack stores them: each starts with the member's name."""
    return {f"{name}.{file}": content for file, content in files.items()}


def without_prefix(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a member among those of its stack; undoes `prefixed`."""
    start = f"{name}."
    return {file.removeprefix(start): content for file, content in files.items() if file.startswith(start)}
