"""An energy with a shape, whose fields stand beside its kind in a config: ``{kind: potential, shape: quadratic, ...}``."""

from abc import ABC
from collections.abc import Mapping
from typing import Any

from pydantic import model_serializer, model_validator

from wgfpipe.energies.base import Energy


class Shaped(Energy, ABC):
    """An energy whose only field is ``shape``, a union that is told apart by a key of that name."""

    shape: Any

    @model_validator(mode="before")
    @classmethod
    def _fields_of_the_shape(cls, values: Any) -> Any:
        """Hand the fields that stand beside the shape to it."""
        if not isinstance(values, Mapping) or not isinstance(values.get("shape"), str):
            return values
        rest = {key: value for key, value in values.items() if key != "kind"}
        return {"shape": rest} | {key: values[key] for key in ("kind",) if key in values}

    @model_serializer
    def _beside_the_shape(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.shape.model_dump(mode="json")}
