"""Long runs save themselves: state and records in one file of arrays, from which a run goes on to the same last bit."""

import time as clock
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from wgfpipe.atomic import atomic
from wgfpipe.measure import Measure
from wgfpipe.results.recording import Recorder
from wgfpipe.status import Info, Status


class CheckpointClock:
    """Save a run to its checkpoint file when enough time has passed since the last time."""

    def __init__(self, path: Path | None, every: float) -> None:
        self.path, self.every, self.last = path, every, clock.monotonic()

    def tick(self, recorder: Recorder, state: Any) -> None:
        """Save now if it is time."""
        if self.path is not None and clock.monotonic() - self.last >= self.every:
            save_checkpoint(self.path, recorder, state)
            self.last = clock.monotonic()


def save_checkpoint(path: Path, recorder: Recorder, state: Any) -> None:
    """Write a run's state and all it recorded so far, in arrays."""
    infos = np.array([[*info[:-2], info.status.code] for info in recorder.infos], float)
    names = list(recorder.infos[0].diagnostics) if recorder.infos else []
    with atomic(path) as part, part.open("wb") as stream:
        np.savez(
            stream,
            times=recorder.times,
            points=np.stack([measure.points for measure in recorder.measures]),
            weights=np.stack([measure.weights for measure in recorder.measures]),
            species=recorder.measures[0].species,
            predictions=recorder.predictions,
            energies=recorder.energies,
            energy_terms=recorder.energy_terms,
            dissipations=recorder.dissipations,
            infos=infos,
            diagnostic_names=np.array(names, str),
            diagnostics=np.array([[info.diagnostics[name] for name in names] for info in recorder.infos], float),
            step_times=recorder.step_times,
            **{f"state_{name}": value for name, value in state._asdict().items()},
        )


def load_checkpoint(path: Path | None, recorder: Recorder, initial_state: Any) -> Any | None:
    """Fill the recorder from a checkpoint and return the state saved there, of the type of ``initial_state``.

    Where there is no checkpoint, or a damaged one, which is said and removed, nothing is filled and None is returned.
    """
    if path is None or not path.exists():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            saved = {name: file[name] for name in file.files}
        records, state = _records(saved), _state(saved, initial_state)
    except (OSError, EOFError, ValueError, LookupError, BadZipFile) as error:
        print(f"{path} is damaged ({error}): starting anew")
        path.unlink()
        return None
    print(f"resuming from {path}")
    for name, value in records.items():
        setattr(recorder, name, value)
    return state


def _records(saved: Mapping[str, Any]) -> dict[str, list]:
    """Read the records of a run from the arrays of its checkpoint."""
    statuses, names = list(Status), saved["diagnostic_names"].tolist()
    return {
        "times": saved["times"].tolist(),
        "measures": [
            Measure(points, weights, saved["species"])
            for points, weights in zip(saved["points"], saved["weights"], strict=True)
        ],
        "predictions": list(saved["predictions"]),
        "energies": saved["energies"].tolist(),
        "energy_terms": list(saved["energy_terms"]),
        "dissipations": saved["dissipations"].tolist(),
        "infos": [
            Info(*row[:-1].tolist(), status=statuses[int(row[-1])], diagnostics=dict(zip(names, own.tolist(), strict=True)))
            for row, own in zip(saved["infos"], saved["diagnostics"], strict=True)
        ],
        "step_times": saved["step_times"].tolist(),
    }


def _state(saved: Mapping[str, Any], initial_state: Any) -> Any:
    """Read the state of a run from the arrays of its checkpoint."""
    fields = {
        name: saved[f"state_{name}"] if isinstance(value, np.ndarray) else type(value)(saved[f"state_{name}"].item())
        for name, value in initial_state._asdict().items()
    }
    return type(initial_state)(**fields)
