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
"""A field that is not in the JSON file, with a default: not stored, or stored in a separate file."""


class StoredModel:
    """A dataclass of JSON values, `Numbers` and `Unstored` fields that is stored as one JSON file."""

    def files(self) -> dict[str, bytes]:
        """Return the content by file name."""
        return {MODEL_FILE: TypeAdapter(type(self)).dump_json(self, indent=1)}

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        """Return the model that `files` gave. Raises pydantic.ValidationError if its fields are not there."""
        return TypeAdapter(cls).validate_json(files[MODEL_FILE])


def files_of_members(members: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of fitted models by name, each preceded by the name of its model."""
    return {f"{name}.{file}": content for name, model in members.items() for file, content in model.files().items()}


def files_of_member(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of one model of `files_of_members`, without its prefix."""
    start = f"{name}."
    return {file.removeprefix(start): content for file, content in files.items() if file.startswith(start)}
