"""A cell, a sweep and a comparison as pydantic models: the source of truth of the config."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from wgfpipe.config.budget import BudgetSpec
from wgfpipe.config.grid import GridSpec
from wgfpipe.config.published import PublishedNumber
from wgfpipe.distances import DISTANCES, Place, supported
from wgfpipe.energies.squared_loss import SquaredLoss
from wgfpipe.laws.gaussian import Gaussian
from wgfpipe.plugins import any_energy, any_of
from wgfpipe.results.across_cells import FUNCTION_DISTANCES
from wgfpipe.section import Section
from wgfpipe.spaces.base import Parametrization, Space
from wgfpipe.spaces.signed import Signed
from wgfpipe.times import canonical_times

AnyDataset = any_of("data")
AnyParametrization = any_of("parametrization")
AnySpace = any_of("space")
AnyEnergy = any_energy()
AnyMethod = any_of("method")
AnyInitial = any_of("initial")
DistanceName: Any = Literal[tuple(DISTANCES)]


Batch = Literal["auto", "none"] | Annotated[int, Field(ge=1)]
"""How many cells a job makes in one process: a number, as many as pay, or none, and then there is a job for every stage."""


SIGNED = Signed()
"""What networks are unless they say so."""


class VerdictSpec(Section):
    """When a trajectory counts as following the reference."""

    tolerance: float = Field(
        default=0.1,
        gt=0,
        description="largest distance to the reference, as a share of what the reference travelled, that counts as following",
    )


class Cell(Section):
    """One experiment: a network to train, or points of a space to move, and the methods to compare."""

    title: str | None = Field(
        default=None, min_length=1, max_length=120, description="what the report calls the cell, unless by its name"
    )
    seed: int = Field(default=0, ge=0, description="source of all randomness")
    data: AnyDataset | None = Field(default=None, description="where the inputs and labels of a network come from")  # pyright: ignore[reportInvalidTypeForm]
    space: AnySpace | None = Field(default=None, description="instead of parametrization, and without data: what a point is")  # pyright: ignore[reportInvalidTypeForm]
    parametrization: AnyParametrization | None = Field(default=None, description="the neuron model of a network; or signed")  # pyright: ignore[reportInvalidTypeForm]
    energy: AnyEnergy = Field(default=SquaredLoss(), description="what the flow descends")  # pyright: ignore[reportInvalidTypeForm]
    grid: GridSpec = Field(default=GridSpec(), description="where grid methods live, and the atoms of the initial measure")
    initial: AnyInitial = Field(default=Gaussian(), description="law of the points at time 0")  # pyright: ignore[reportInvalidTypeForm]
    horizon: float = Field(default=2.0, gt=0, description="flow time to reach")
    save_at: Annotated[int, Field(ge=2)] | tuple[float, ...] = Field(
        default=21, description="number of saved times, or a list of them"
    )
    repetitions: int = Field(default=5, ge=1, description="runs with seeds of their own of whatever is random")
    reference: str = Field(description="label of the method the others are measured against")
    methods: dict[str, AnyMethod] = Field(min_length=1, description="label -> method")  # pyright: ignore[reportInvalidTypeForm]
    distances: Annotated[tuple[DistanceName, ...], Field(min_length=1)] | None = Field(  # pyright: ignore[reportInvalidTypeForm]
        default=None, description="what to measure; all distances that exist for the parametrization unless listed"
    )
    verdict: VerdictSpec = Field(default=VerdictSpec(), description="when a trajectory counts as following")
    budget: BudgetSpec | None = Field(default=None, description="whose error is split, and by which refinements")
    published: tuple[PublishedNumber, ...] = Field(default=(), description="numbers of papers, for the report alone")

    @model_validator(mode="before")
    @classmethod
    def _networks_are_signed(cls, values: Any) -> Any:
        """Give a cell without a space the default of networks."""
        if isinstance(values, Mapping) and values.get("space") is None and values.get("parametrization") is None:
            return {**values, "parametrization": SIGNED}
        return values

    @model_validator(mode="wrap")
    @classmethod
    def _times_are_said_one_way(cls, values: Any, handler: ModelWrapValidatorHandler["Cell"]) -> "Cell":
        """Saved times are those that are listed, however they are: [0, .25, .5] is 3 where the horizon is .5."""
        cell = handler(values)
        save_at = canonical_times(cell.horizon, cell.save_at)
        return cell if save_at == cell.save_at else cell.model_copy(update={"save_at": save_at})

    @property
    def state_space(self) -> Space:
        """What a point of the cell is: a neuron of its parametrization, or a point of its space."""
        space = self.parametrization if self.space is None else self.space
        assert space is not None  # a cell without a space has a parametrization, if need be the default
        return space

    @property
    def n_features(self) -> int:
        """Number of input features, the constant included; 0 without data."""
        return 0 if self.data is None else self.data.dimension + 1

    def resolved(self) -> dict[str, Any]:
        """Return the cell as plain data with every default written out: what jobs receive and files store.

        It holds ``data`` and ``parametrization``, or ``space``, ``budget`` where there is one, and neither title nor published
        numbers, which no result depends on.
        """
        absent = {key for key in ("data", "space", "parametrization", "budget") if getattr(self, key) is None}
        distances = list(self.distances or supported(Place(self.state_space, isinstance(self.state_space, Parametrization))))
        return self.model_dump(mode="json", exclude=absent | {"title", "published"}) | {"distances": distances}

    def published_numbers(self) -> list[dict[str, Any]]:
        """Return the published numbers as plain data, with every time written out: what the report receives."""
        last = self.horizon if isinstance(self.save_at, int) else self.save_at[-1]
        return [number.described(last) for number in self.published]


class Sweep(Section):
    """Cells made from one by varying some of its values."""

    base: str = Field(description="cell to start from")
    over: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(min_length=1, description="dotted key -> values")
    mode: Literal["product", "zip", "ablation"] = Field(
        "product", description="every combination, values side by side, or one key at a time"
    )
    batch: Batch | None = Field(default=None, description="cells a job makes, if not what is said for all cells")
    figures: Literal["all", "none"] | tuple[str, ...] = Field(
        default="none", description="cells of the sweep that get figures and a page: all, none but the sweep's own, or a list"
    )


class Comparison(Section):
    """Cells whose references are compared as functions, whatever their parametrizations; the first is the measure."""

    cells: Annotated[tuple[str, ...], Field(min_length=2)] = Field(description="cells with the same data and saved times")
    distances: Annotated[tuple[DistanceName, ...], Field(min_length=1)] = Field(  # pyright: ignore[reportInvalidTypeForm]
        default=FUNCTION_DISTANCES, description="what to measure: function_gap, data_gap, energy_gap"
    )
