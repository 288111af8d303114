"""What a run says on the way, and the trajectory Dataset that is made of it, in the layout of :mod:`wgfpipe.results.schema`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from wgfpipe.measure import Array, Measure
from wgfpipe.results.schema import STEP_VARIABLES, describe
from wgfpipe.spaces.base import Parametrization
from wgfpipe.status import Status


@dataclass
class Recorder:
    """What :func:`wgfpipe.solving.solve` collects on the way: at saved times, in every step, and of the run."""

    times: list[float] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    predictions: list[Array] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)
    energy_terms: list[Array] = field(default_factory=list)
    dissipations: list[float] = field(default_factory=list)
    infos: list[Any] = field(default_factory=list)
    step_times: list[float] = field(default_factory=list)
    solved: list[Any] = field(default_factory=list)
    shortened: str = ""

    def save(self, problem: Any, measure: Measure, time: float, energy: float | None = None) -> None:
        """Record a measure at a saved time, and what the problem says of it, or the method of its energy."""
        prediction = problem.predict(measure)
        self.times.append(float(time))
        self.measures.append(measure)
        self.predictions.append(prediction)
        self.energies.append(problem.energy_of(measure, prediction) if energy is None else energy)
        self.energy_terms.append(problem.energy_terms(measure))
        self.dissipations.append(problem.dissipation(measure))


def build(problem: Any, recorder: Recorder, method: Any, unsupported: str | None = None) -> xr.Dataset:
    """Make the trajectory Dataset of what was recorded; what did not change over time carries no time dimension.

    Beside the variables of the schema it has those that the energy says of a measure, ``Functional.diagnosed``, (time,).
    """
    infos, parametrization, functional = recorder.infos, problem.parametrization, problem.functional
    neurons = isinstance(parametrization, Parametrization)
    status = Status.UNSUPPORTED if unsupported else Status.worst(*(info.status for info in infos))
    first = recorder.measures[0]
    with np.errstate(over="ignore", invalid="ignore"):  # of places that are about to diverge: NaN
        diagnoses = [functional.diagnostics(measure) for measure in recorder.measures] if functional.diagnosed else []
    dataset = xr.Dataset(
        {
            "points": _over_time([measure.points for measure in recorder.measures], "param"),
            "weights": _over_time([measure.weights for measure in recorder.measures]),
            "species": ("atom", first.species.astype(np.int8)),
            "energy": ("time", np.asarray(recorder.energies, float)),
            "energy_term": (("time", "term"), np.asarray(recorder.energy_terms, float)),
            "dissipation": ("time", np.asarray(recorder.dissipations, float)),
            **{name: ("time", np.array([said.values[name] for said in diagnoses])) for name in functional.diagnosed},
            "prediction": (("time", "sample"), np.asarray(recorder.predictions, float)),
            **{
                name: ("step", np.asarray([getattr(info, source) for info in infos], float))
                for name, (source, _, _) in STEP_VARIABLES.items()
            },
            **{name: ("step", np.asarray([info.diagnostics[name] for info in infos], float)) for name in method.diagnostics},
            "status": ("step", np.asarray([info.status.code for info in infos], np.int8)),
        },
        coords={
            "time": ("time", np.asarray(recorder.times, float)),
            "step_time": ("step", np.asarray(recorder.step_times, float)),
            "param": ("param", np.asarray(parametrization.parameter_names(problem.x.shape[1]), dtype=str)),
            "term": ("term", np.asarray(list(problem.parts), dtype=str)),
        },
    )
    describe(
        dataset,
        time="flow time t",
        step_time="flow time at the end of the step",
        param="entry of the neuron parameters theta" if neurons else "coordinate of a point",
        points="neuron parameters theta of the atoms" if neurons else "places of the atoms",
        weights="masses of the atoms",
        species="fixed output sign of the atoms" if neurons else "species of the atoms, between which no mass moves",
        term="label of a term of the energy",
        energy="energy F of the measure",
        energy_term="part of the energy that a term is",
        dissipation="rate int |grad V|^2 dmu at which the flow lowers the energy",
        prediction="outputs of the network on the data" if neurons else "empty: a point of this space has no outputs",
        status="outcome of the step",
        **functional.diagnosed,
        **{name: text for name, (_, text, _) in STEP_VARIABLES.items()},
        **method.diagnostics,
    )
    if missing := "; ".join(dict.fromkeys(said.missing for said in diagnoses if said.missing)):
        for name in functional.diagnosed:
            dataset[name].attrs["missing"] = missing
    dataset["residual"].attrs["long_name"] = f"certificate of the step: {method.certificate}"
    dataset["status"].attrs.update(
        flag_values=np.asarray([status.code for status in Status], np.int8),
        flag_meanings=" ".join(status.name.lower() for status in Status),
    )
    dataset.attrs.update(
        title=f"Trajectory of {method.title}",
        references="; ".join(method.references),
        method_kind=method.kind,
        method_title=method.title,
        method_family=method.family,
        method_support=method.support,
        method_transports=int(method.transports),
        method_tunnels=int(method.tunnels),
        parametrization=parametrization.model_dump_json(),
        status=status.name.lower(),
        advice=unsupported or status.value,
        entropy_least=min((solved.entropy for solved in recorder.solved), default=0.0),
        entropy_most=max((solved.entropy for solved in recorder.solved), default=0.0),
        metric=next((solved.metric for solved in recorder.solved), "w2"),
        fisher=max((solved.fisher for solved in recorder.solved), default=0.0),
        bias=float(sum(solved.bias for solved in recorder.solved)),
        caveat="; ".join(dict.fromkeys(solved.caveat for solved in recorder.solved if solved.caveat)),
        shortened_steps=recorder.shortened,
    )
    return dataset


def _over_time(values: list[Array], *inner: str) -> tuple[tuple[str, ...], Array]:
    if all(value is values[0] or np.array_equal(value, values[0]) for value in values[1:]):
        return ("atom", *inner), np.ascontiguousarray(values[0])
    return ("time", "atom", *inner), np.stack(values)
