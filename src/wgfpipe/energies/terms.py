"""A sum of named terms, ``F = F_1 + F_2 + ...``: what stands under ``energy`` where a cell has more than one.

In a config it is a mapping of labels to terms, ``{well: {kind: potential, ...}, noise: {kind: entropy, strength: 0.1}}``: one
without the key ``kind``, by which a single term is known.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import Field, GetJsonSchemaHandler, SerializationInfo, model_serializer, model_validator
from pydantic_core import CoreSchema

from wgfpipe.energies import ENERGIES
from wgfpipe.energies.base import Energy
from wgfpipe.energies.functional import Functional, Sum
from wgfpipe.measure import Array
from wgfpipe.spaces.base import Space

AnyTerm: Any = Annotated[Union[ENERGIES], Field(discriminator="kind")]  # noqa: UP007 - the classes are data


class Terms(Energy):
    """Named terms that add up."""

    kind: Literal["sum"] = "sum"
    title: ClassVar[str] = "sum of terms"
    terms: dict[str, AnyTerm] = Field(min_length=1, description="label -> term")  # pyright: ignore[reportInvalidTypeForm]
    example: ClassVar[Mapping[str, Any]] = {"terms": {"loss": {"kind": "squared_loss"}, "decay": {"kind": "quadratic"}}}

    @model_validator(mode="before")
    @classmethod
    def _labels_are_keys(cls, values: Any) -> Any:
        """Take a mapping of labels for what stands under ``terms``."""
        if not isinstance(values, Mapping) or "kind" in values or _is_constructed(values):
            return values
        return {"terms": values}

    @model_serializer
    def _as_labels(self, info: SerializationInfo) -> dict[str, Any]:
        return {label: term.model_dump(mode=info.mode) for label, term in self.terms.items()}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Schema of the mapping of labels, and not of the model."""
        schema = handler(core_schema)
        own = handler.resolve_ref_schema(schema)
        terms = own["properties"]["terms"]
        own.clear()
        own.update({key: value for key, value in terms.items() if key not in ("title", "description")})
        own["description"] = cls.__doc__
        return schema

    @property
    def parts(self) -> Mapping[str, Energy]:
        return self.terms

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        return Sum([term.on(space, x, y) for term in self.parts.values()])


def _is_constructed(values: Mapping[str, Any]) -> bool:
    """Whether this is the mapping of labels as the argument ``terms``, and not a term that is labelled so."""
    inner = values.get("terms")
    return len(values) == 1 and isinstance(inner, Mapping) and "kind" not in inner


def labelled(terms: Sequence[Any]) -> dict[str, Any]:
    """Label terms, given as mappings or objects, by their kinds: a second one of a kind as ``kind_2``."""
    made: dict[str, Any] = {}
    for term in terms:
        kind = str(term.get("kind", "term") if isinstance(term, Mapping) else getattr(term, "kind", "term"))
        label, count = kind, 1
        while label in made:
            count += 1
            label = f"{kind}_{count}"
        made[label] = term
    return made
