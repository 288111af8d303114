"""The config: what merges, what is coerced, what a sweep makes, and what every kind of mistake is told.

The messages a user reads are kept word for word in ``snapshots/config_errors.txt``, a section a case, so that a change of
wording shows in review. ``WGFPIPE_UPDATE_SNAPSHOTS=1 pytest tests/test_config.py -p no:xdist`` writes that file anew; read
the difference before committing it.
"""

import copy
import itertools
import json
import os
import re
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from wgfpipe.config.experiment import ConfigError, load, load_file
from wgfpipe.config.grid import GridSpec
from wgfpipe.config.names import NAME
from wgfpipe.config.schema import json_schema
from wgfpipe.expression import evaluate
from wgfpipe.pipeline import assembly

ROOT = Path(__file__).resolve().parent.parent
SNAPSHOT = Path(__file__).with_name("snapshots") / "config_errors.txt"
UPDATE = os.environ.get("WGFPIPE_UPDATE_SNAPSHOTS") == "1"

GD = {"kind": "gd", "dt": 0.01}
JKO = {"kind": "jko_entropic", "dt": 0.125, "epsilon": "h^2"}
SPHERE = {"kind": "sphere", "metric": "cone"}
ON_SPHERE = {"parametrization": SPHERE}
ON_SURFACE = {"parametrization": SPHERE | {"metric": "conserved"}}
BASE = {
    "data": {"kind": "sinus", "n": 8},
    "grid": {"half_width": 3.0, "points_per_axis": 24},
    "reference": "gd",
    "methods": {"gd": GD, "jko": JKO},
}


NOISE = {"kind": "entropy", "strength": 0.1}
WELL = {"kind": "potential", "shape": "quadratic", "stiffness": 1.0}
POINTS = {
    "space": {"kind": "euclidean", "dimension": 2},
    "energy": {"well": WELL, "noise": NOISE},
    "grid": {"half_width": 3.0, "points_per_axis": 24},
    "reference": "gd",
    "methods": {"gd": GD},
}


def config_of(**overrides):
    """Make a config of one cell, ``base``, that is valid but for the overrides; a section given replaces the valid one."""
    return {"cells": {"base": copy.deepcopy(BASE) | overrides}}


def points(**overrides):
    """Make a config of one cell of points, ``base``, that is valid but for the overrides."""
    return {"cells": {"base": copy.deepcopy(POINTS) | overrides}}


def with_jko(**options):
    """Make a config whose method jko has other options."""
    return config_of(methods={"gd": GD, "jko": JKO | options})


def with_csv(**options):
    """Make a config that reads a CSV file."""
    return config_of(data={"kind": "csv", "path": "good.csv", "x": ["a"], "y": "target"} | options)


def with_grid(**options):
    """Make a config with another grid."""
    return config_of(grid=BASE["grid"] | options)


def with_sweep(**options):
    """Make a config with one sweep."""
    return config_of() | {"sweeps": {"width": {"base": "base", "over": {"grid.points_per_axis": [24, 32]}} | options}}


def comparing(cells, other=None, **options):
    """Make a config of two cells and a comparison."""
    both = {"base": copy.deepcopy(BASE), "other": copy.deepcopy(BASE) | (other or {})}
    return {"cells": both, "comparisons": {"models": {"cells": cells} | options}}


def resolved(config, cell="base"):
    """Resolve a cell of a config."""
    return load(config, ROOT).cells[cell].resolved()


# Merging


def test_a_cell_is_the_defaults_overlaid_with_its_own_lines():
    """Mappings merge key by key at any depth, other values replace; what a cell does not name it inherits."""
    config = {
        "defaults": BASE | {"horizon": 3.0, "distances": ["w2", "w1"]},
        "cells": {
            "plain": None,
            "empty": {},
            "other": {"grid": {"points_per_axis": 32}, "methods": {"jko": {"dt": 0.5}}, "distances": ["energy_gap"]},
        },
    }
    cells = load(config, ROOT).cells
    assert list(cells) == ["plain", "empty", "other"]
    assert cells["plain"] == cells["empty"]
    plain, other = cells["plain"].resolved(), cells["other"].resolved()
    assert plain["horizon"] == other["horizon"] == 3.0
    assert other["grid"] == plain["grid"] | {"points_per_axis": 32}
    assert other["methods"]["jko"] == plain["methods"]["jko"] | {"dt": 0.5}
    assert other["methods"]["gd"] == plain["methods"]["gd"]
    assert other["distances"] == ["energy_gap"]


def test_null_removes_an_inherited_method():
    """``jko: null`` in a cell takes the method out of that cell and of no other."""
    config = {"defaults": BASE, "cells": {"without": {"methods": {"jko": None}}, "with": {}}}
    cells = load(config, ROOT).cells
    assert list(cells["without"].methods) == ["gd"]
    assert list(cells["with"].methods) == ["gd", "jko"]


def test_null_gives_a_key_its_default_back():
    """Null on a key with a default restores the default, not the inherited value."""
    config = {"defaults": BASE | {"horizon": 7.0}, "cells": {"base": {"horizon": None}}}
    assert resolved(config)["horizon"] == 2.0


def test_another_kind_starts_from_nothing():
    """Options of the inherited kind do not leak into another kind; the same kind inherits them."""
    defaults = BASE | {"data": {"kind": "sinus", "n": 12, "noise": 0.3}}
    cells = {
        "line": {"data": {"kind": "linear"}, "methods": {"jko": {"kind": "prox", "dt": 0.5}}},
        "sine": {"data": {"kind": "sinus", "n": 5}},
    }
    made = load({"defaults": defaults, "cells": cells}, ROOT).cells
    assert made["line"].data.n == 8
    assert made["line"].data.noise == 0.0
    assert made["line"].methods["jko"].kind == "prox"
    assert made["sine"].data.n == 5
    assert made["sine"].data.noise == 0.3


def test_points_take_no_network_from_the_defaults():
    """A cell that says space leaves the data and the parametrization of the defaults to others, and the other way round."""
    defaults = BASE | {"parametrization": {"kind": "weight_alpha"}, "energy": {"kind": "quadratic"}}
    cells = load({"defaults": defaults, "cells": {"points": {"space": POINTS["space"]}, "network": {}}}, ROOT).cells
    assert not {"data", "parametrization"} & set(cells["points"].resolved())
    assert cells["points"].state_space.kind == "euclidean"
    assert cells["network"].state_space.kind == "weight_alpha"
    assert "space" not in cells["network"].resolved()
    cells = load(
        {"defaults": POINTS, "cells": {"points": {}, "network": {"data": BASE["data"], "energy": SQUARED}}}, ROOT
    ).cells
    assert cells["points"].resolved()["space"] == POINTS["space"]
    assert cells["network"].state_space.kind == "signed"


SQUARED = {"kind": "squared_loss"}


def test_terms_merge_like_methods():
    """Key by key under their labels; null removes one; another kind, or another shape, starts from nothing."""
    cells = {
        "hotter": {"energy": {"noise": {"strength": 0.2}}},
        "still": {"energy": {"noise": None}},
        "more": {"energy": {"other": {"kind": "quadratic"}}},
        "softer": {"energy": {"well": {"stiffness": 0.5}}},
        "double": {"energy": {"well": {"shape": "double_well"}}},
        "another": {"energy": {"well": {"kind": "quadratic"}}},
        "single": {"energy": {"kind": "quadratic", "stiffness": 2.0}},
    }
    made = {name: cell.resolved()["energy"] for name, cell in load({"defaults": POINTS, "cells": cells}, ROOT).cells.items()}
    plain = resolved({"cells": {"base": POINTS}})["energy"]
    assert made["hotter"] == plain | {"noise": NOISE | {"strength": 0.2}}
    assert made["still"] == {"well": plain["well"]}
    assert made["more"] == plain | {"other": {"kind": "quadratic", "stiffness": 1.0}}
    assert made["softer"]["well"] == plain["well"] | {"stiffness": 0.5}
    assert made["double"]["well"] == {
        "kind": "potential",
        "shape": "double_well",
        "height": 1.0,
        "width": 1.0,
        "stiffness": 1.0,
    }
    assert made["another"]["well"] == {"kind": "quadratic", "stiffness": 1.0}
    assert made["single"] == {"kind": "quadratic", "stiffness": 2.0}


def test_named_terms_take_the_place_of_a_single_one():
    """And one value of a single term is changed without its kind, as ever."""
    defaults = POINTS | {"energy": {"kind": "quadratic", "stiffness": 2.0}}
    cells = {"named": {"energy": {"noise": NOISE}}, "softer": {"energy": {"stiffness": 0.5}}}
    made = load({"defaults": defaults, "cells": cells}, ROOT).cells
    assert made["named"].resolved()["energy"] == {"noise": NOISE}
    assert made["softer"].resolved()["energy"] == {"kind": "quadratic", "stiffness": 0.5}


def test_a_term_may_be_called_anything():
    """Also what the field of a sum is called."""
    for label in ("terms", "sum", "named terms", "one term", "potential"):
        assert resolved(points(energy={label: NOISE}))["energy"] == {label: NOISE}
        (mistake,) = refusal(points(energy={label: NOISE | {"strength": -1}}), ROOT).mistakes
        assert mistake.key == f"energy.{label}.strength"


def test_a_sweep_goes_over_the_values_of_a_term():
    """Dotted keys lead through labels."""
    over = {"energy.noise.strength": [0.1, 0.2], "energy.well.shape": ["double_well"]}
    config = points() | {"sweeps": {"heat": {"base": "base", "over": over}}}
    made = load(config, ROOT)
    assert list(made.sweeps["heat"]) == [f"heat-strength={D}-shape=double_well" for D in (0.1, 0.2)]
    assert [made.cells[cell].energy.terms["noise"].strength for cell in made.sweeps["heat"]] == [0.1, 0.2]


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"energy": {"kind": "quadratic", "stiffness": 0.0}, "space": {"kind": "torus", "dimension": 2, "period": 6.0}},
        {"initial": {"kind": "gaussian", "mean": [0.5, -0.25], "covariance": [[0.1, 0.02], [0.02, 0.1]]}},
        {"initial": {"kind": "mixture", "means": [[-1, 0], [1, 0]], "std": [0.3, 0.35]}, "grid": {"centre": [0.5, 0]}},
    ],
)
def test_a_resolved_cell_of_points_loads_as_itself(sections):
    """As one of a network does."""
    values = resolved(points(**sections))
    assert resolved({"cells": {"base": json.loads(json.dumps(values))}}) == values


def test_a_law_with_a_mean_fits_a_grid_with_a_centre():
    """A box of half width 2.7 around the mean: what is too small around zero is enough there."""
    initial = {"kind": "gaussian", "mean": [4.0, -2.0], "std": 0.5}
    grid = {"half_width": 2.7, "points_per_axis": 24}
    assert [mistake.key for mistake in refusal(points(initial=initial, grid=grid), ROOT).mistakes] == ["grid.half_width"]
    assert resolved(points(initial=initial, grid=grid | {"centre": [4.0, -2.0]}))["grid"]["centre"] == [4.0, -2.0]
    fine = {"half_width": 1.0, "points_per_axis": 24, "centre": [1.0, 0.0]}
    narrow = {"kind": "mixture", "means": [[-1, 0], [1, 0]], "std": [0.4, 0.1]}
    assert resolved(points(initial=narrow, grid={"half_width": 3.2, "points_per_axis": 24, "blocks": [fine]}))


def test_loading_leaves_the_config_alone():
    """The mapping that was given is not changed: Snakemake goes on using it."""
    config = with_sweep() | {"defaults": {"methods": {"jko": None}}}
    before = copy.deepcopy(config)
    load(config, ROOT)
    assert config == before


def test_a_resolved_cell_loads_as_itself():
    """What jobs receive is plain JSON with every default written out, and resolving it again changes nothing."""
    values = resolved(with_jko(epsilon="4 * h ^ 2"))
    again = resolved({"cells": {"base": json.loads(json.dumps(values))}})
    assert again == values
    assert values["methods"]["jko"]["debias"] is True
    assert values["verdict"] == {"tolerance": 0.1}


# Coercion


def test_numbers_that_arrive_as_text_are_numbers():
    """YAML reads 1e-3 as text, and so does everything after ``--config``: the cell is that of the numbers."""
    text = config_of(
        seed="3",
        horizon="1e0",
        save_at="5",
        data={"kind": "sinus", "n": "8", "noise": "1e-3"},
        grid={"half_width": "3", "points_per_axis": "24"},
        methods={"gd": {"kind": "gd", "dt": "1e-2"}, "jko": JKO | {"dt": "0.125", "debias": "false", "tolerance": "1e-9"}},
    )
    numbers = config_of(
        seed=3,
        horizon=1.0,
        save_at=5,
        data={"kind": "sinus", "n": 8, "noise": 0.001},
        methods={"gd": GD, "jko": JKO | {"debias": False, "tolerance": 1e-9}},
    )
    assert resolved(text) == resolved(numbers)


def test_yaml_reads_1e_3_as_text_and_the_config_as_a_number(tmp_path):
    """The pitfall itself, through a file."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config_of(horizon=1)).replace("dt: 0.01", "dt: 1e-3"))
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["cells"]["base"]["methods"]["gd"]["dt"] == "1e-3"
    assert load_file(tmp_path / "config.yaml").cells["base"].methods["gd"].dt == 0.001


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (config_of(data={"kind": "sinus", "n": 8}), config_of(data={"kind": "sinus", "n": 8.0})),
        (config_of(horizon=2), config_of(horizon=2.0)),
        (config_of(save_at=8), config_of(save_at=8.0)),
        (config_of(save_at=[1, 2]), config_of(save_at=[1.0, 2.0])),
        (with_grid(points_per_axis=24), with_grid(points_per_axis=24.0)),
        (with_grid(half_width=3), with_grid(half_width=3.0)),
        (with_jko(dt=1, epsilon=1), with_jko(dt=1.0, epsilon=1.0)),
        (with_jko(epsilon="4*h^2"), with_jko(epsilon=" 4 * h ^ 2 ")),
    ],
    ids=["n", "horizon", "save_at", "times", "points", "width", "epsilon", "expression"],
)
def test_the_same_number_written_otherwise_is_the_same_cell(first, second):
    """8 and 8.0 give the same bytes of spec, so one is not rerun for the other."""
    assert json.dumps(resolved(first)) == json.dumps(resolved(second))


# Expressions


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("h^2", 0.0625),
        ("4*h^2", 0.25),
        ("4 * h ^ 2", 0.25),
        ("4*h**2", 0.25),
        ("h/2 + 1", 1.125),
        ("(1 + h)^2", 1.5625),
        ("-h^2 + 1", 0.9375),
        ("1e-3*h", 0.00025),
        ("h^-1", 4.0),
        (0.5, 0.5),
        (3, 3.0),
    ],
)
def test_an_expression_has_its_value_at_the_spacing(expression, value):
    """Arithmetic in h with the usual precedence; ^ is a power. Every value here is exact in binary but one."""
    assert evaluate(expression, 0.25) == pytest.approx(value, rel=1e-15)


NOT_EXPRESSIONS = [
    "h^^2",
    "g^2",
    "4h^2",
    "h*",
    "",
    "h.real",
    "exp(h)",
    "__import__('os')",
    "[h]",
    "h if h else 1",
    "True",
    "h^0.5j",
]


@pytest.mark.parametrize("expression", [*NOT_EXPRESSIONS, "1/(h-h)", "9^9^9^9", "(-h)^0.5", "h; h", "1e400"])
def test_what_is_no_expression_has_no_value(expression):
    """Names, calls, attributes and what has no finite real value are refused with the text and an example."""
    with pytest.raises(ValueError, match=r"is not a number or an arithmetic expression in the grid spacing h, such as h\^2"):
        evaluate(expression, 0.25)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.text(alphabet="h0123456789.+-*/^() e", max_size=12))
def test_any_text_is_a_finite_number_or_refused(text):
    """Whatever is typed, evaluating it ends in a finite number or in the one error."""

    def outcome():
        try:
            return evaluate(text, 0.25)
        except ValueError as error:
            return str(error)

    result = outcome()
    assert "is not a number or an arithmetic expression" in result if isinstance(result, str) else np.isfinite(result)


def test_an_expression_is_judged_at_the_spacing_of_its_grid():
    """h - 0.2 is positive where h = 6/23 = 0.26 and negative where h = 6/47 = 0.13: the first is valid, the second is not."""
    assert load(with_jko(epsilon="h - 0.2"), ROOT).cells["base"].methods["jko"].epsilon == "h-0.2"
    finer = with_jko(epsilon="h - 0.2")
    finer["cells"]["base"]["grid"]["points_per_axis"] = 48
    with pytest.raises(
        ConfigError, match=r"methods.jko.epsilon: got 'h-0.2', expected a positive value; at h = 0.1277 it is -0.07"
    ):
        load(finer, ROOT)


# Sweeps


def test_a_product_sweep_makes_every_combination():
    """The last key varies fastest; names carry the last part of each key and its value; the base stays as it is."""
    over = {"grid.points_per_axis": [24, 32], "methods.jko.epsilon": ["h^2", "4*h^2"]}
    made = load(with_sweep(over=over), ROOT)
    names = [f"width-points_per_axis={n}-epsilon={e}" for n, e in itertools.product([24, 32], ["h_2", "4_h_2"])]
    assert list(made.cells) == ["base", *names]
    assert list(made.sweeps) == ["width"]
    assert list(made.sweeps["width"]) == names
    for name, (n, epsilon) in zip(names, itertools.product([24, 32], ["h^2", "4*h^2"]), strict=True):
        assert made.sweeps["width"][name] == {"grid.points_per_axis": n, "methods.jko.epsilon": epsilon}
        expected = made.cells["base"].resolved()
        expected["grid"]["points_per_axis"] = n
        expected["methods"]["jko"]["epsilon"] = epsilon
        assert made.cells[name].resolved() == expected
        assert re.fullmatch(NAME, name)


def test_a_zip_sweep_takes_values_side_by_side():
    """Two lists of two values make two cells."""
    made = load(with_sweep(mode="zip", over={"seed": [1, 2], "horizon": [0.5, "1e0"]}), ROOT)
    assert list(made.sweeps["width"]) == ["width-seed=1-horizon=0.5", "width-seed=2-horizon=1"]
    assert [(cell.seed, cell.horizon) for cell in list(made.cells.values())[1:]] == [(1, 0.5), (2, 1.0)]


def test_a_swept_value_has_one_name_however_it_is_written():
    """8, 8.0 and "8" are one value: the name of the cell, and with it every file, is the same."""
    names = [list(load(with_sweep(over={"horizon": [value]}), ROOT).sweeps["width"]) for value in (2, 2.0, "2", "2e0")]
    assert names == [["width-horizon=2"]] * 4


def test_an_ablation_changes_one_key_at_a_time():
    """Each value of each key makes a cell that differs from the base in that key alone."""
    made = load(with_sweep(mode="ablation", over={"seed": [1], "grid.points_per_axis": [32, 48]}), ROOT)
    base = made.cells["base"].resolved()
    assert list(made.sweeps["width"].values()) == [{"seed": 1}, {"grid.points_per_axis": 32}, {"grid.points_per_axis": 48}]
    assert made.cells["width-seed=1"].resolved() == base | {"seed": 1}
    assert made.cells["width-points_per_axis=48"].resolved()["grid"] == base["grid"] | {"points_per_axis": 48}


def test_a_sweep_over_plug_ins_is_named_by_their_kind():
    """A swept mapping merges like a cell's own lines: another kind starts from nothing."""
    over = {"data": [{"kind": "linear", "n": 5}, {"kind": "sinus", "noise": 0.5}]}
    made = load(with_sweep(over=over), ROOT)
    assert list(made.sweeps["width"]) == ["width-data=linear", "width-data=sinus"]
    assert made.cells["width-data=linear"].data.n == 5
    assert made.cells["width-data=sinus"].data.n == 8  # inherited


def test_null_in_a_sweep_removes_a_method():
    """What null means in a cell it means in a sweep."""
    made = load(with_sweep(over={"methods.jko": [None]}), ROOT)
    (cell,) = made.sweeps["width"]
    assert list(made.cells[cell].methods) == ["gd"]


def test_a_sweep_starts_from_cells_of_the_file_alone():
    """Cells made by one sweep are no base for another: the order of sweeps does not matter."""
    sweeps = {"a": {"base": "base", "over": {"seed": [1]}}, "b": {"base": "a-seed=1", "over": {"horizon": [1]}}}
    with pytest.raises(ConfigError, match="sweep 'b': base: got 'a-seed=1', expected a cell: base"):
        load(config_of() | {"sweeps": sweeps}, ROOT)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8) | st.floats(allow_nan=False), min_size=1, max_size=3, unique_by=str))
def test_swept_values_make_names_that_files_can_have(values):
    """Whatever is swept over, a cell that is made has a name that is a file name, or the config is refused."""
    try:
        made = load(with_sweep(over={"methods.jko.epsilon": values}), ROOT)
    except ConfigError:
        return
    assert all(re.fullmatch(NAME, name) for name in made.cells)


# Mistakes

NAN, INF = float("nan"), float("inf")
CELL = "cell 'base'"

# case -> (config, the place of every error it has: cell or sweep, and key where one is to blame)
MISTAKES = {
    # keys
    "top level key": (config_of() | {"cels": {}}, ["config: cels"]),
    "cell key": (config_of(horizn=2), [f"{CELL}: horizn"]),
    "grid key": (with_grid(points=3), [f"{CELL}: grid.points"]),
    "block key": (with_grid(blocks=[{"halfwidth": 0.3}]), [f"{CELL}: grid.blocks.0.halfwidth"]),
    "option of another method": (config_of(methods={"gd": GD | {"epsilon": 1}}), [f"{CELL}: methods.gd.epsilon"]),
    "option of another data set": (config_of(data={"kind": "sinus", "slope": 1}), [f"{CELL}: data.slope"]),
    "verdict key": (config_of(verdict={"tolerence": 0.2}), [f"{CELL}: verdict.tolerence"]),
    "sweep key": (with_sweep(step=1), ["sweep 'width': step"]),
    "swept key": (
        with_sweep(over={"grid.points": [1, 2]}),
        ["in 2 cells of sweep 'width', such as 'width-points=1': grid.points"],
    ),
    "key of all swept cells": (
        with_sweep(base="wrong", over={"seed": [1, 2, 3, 4]}) | {"cells": {"base": BASE, "wrong": BASE | {"horizn": 2}}},
        ["cell 'wrong': horizn", "in 4 cells of sweep 'width', such as 'width-seed=1': horizn"],
    ),
    "many swept values": (
        with_sweep(over={"grid.points_per_axis": ["a", "b", "c", "d", "e"]}),
        ["in 5 cells of sweep 'width', such as 'width-points_per_axis=a': grid.points_per_axis"],
    ),
    # what is missing
    "no cells": ({"defaults": BASE}, ["config: cells"]),
    "empty cell": ({"cells": {"base": {}}}, [f"{CELL}: data", f"{CELL}: reference", f"{CELL}: methods"]),
    "no methods": (config_of(methods={}), [f"{CELL}: methods"]),
    "no epsilon": (with_jko(epsilon=None), [f"{CELL}: methods.jko.epsilon"]),
    "method without kind": (config_of(methods={"gd": {"dt": 0.1}}), [f"{CELL}: methods.gd"]),
    "data without kind": (config_of(data={"n": 3}), [f"{CELL}: data"]),
    "initial without kind": (config_of(initial={"std": 0.3}), [f"{CELL}: initial"]),
    "no path": (config_of(data={"kind": "csv", "x": ["a"], "y": "target"}), [f"{CELL}: data.path"]),
    "sweep without base": (config_of() | {"sweeps": {"w": {"over": {"seed": [1]}}}}, ["sweep 'w': base"]),
    # types
    "defaults are a list": (config_of() | {"defaults": [1]}, ["config: defaults"]),
    "cells are a list": ({"cells": ["base"]}, ["config: cells"]),
    "cell is a number": ({"defaults": BASE, "cells": {"base": 3}}, ["config: cells.base"]),
    "sweeps are a list": (config_of() | {"sweeps": [1]}, ["config: sweeps"]),
    "empty sweep": (config_of() | {"sweeps": {"w": None}}, ["sweep 'w'"]),
    "methods are a list": (config_of(methods=["gd"]), [f"{CELL}: methods"]),
    "method is text": (config_of(methods={"gd": "gd"}), [f"{CELL}: methods.gd"]),
    "data is text": (config_of(data="sinus"), [f"{CELL}: data"]),
    "horizon is text": (config_of(horizon="long"), [f"{CELL}: horizon"]),
    "horizon is a list": (config_of(horizon=[1]), [f"{CELL}: horizon"]),
    "seed is a fraction": (config_of(seed=1.5), [f"{CELL}: seed"]),
    "points are text": (with_grid(points_per_axis="many"), [f"{CELL}: grid.points_per_axis"]),
    "points are a fraction": (with_grid(points_per_axis=24.5), [f"{CELL}: grid.points_per_axis"]),
    "one width is text": (with_grid(half_width=[3, "x"]), [f"{CELL}: grid.half_width.1"]),
    "one count is too small": (with_grid(points_per_axis=[24, 1]), [f"{CELL}: grid.points_per_axis.1"]),
    "blocks are a mapping": (with_grid(blocks={"half_width": 0.3}), [f"{CELL}: grid.blocks"]),
    "save_at is text": (config_of(save_at="often"), [f"{CELL}: save_at"]),
    "save_at holds text": (config_of(save_at=[1, "x"]), [f"{CELL}: save_at.1"]),
    "debias is text": (with_jko(debias="maybe"), [f"{CELL}: methods.jko.debias"]),
    "dt is a list": (with_jko(dt=[0.1]), [f"{CELL}: methods.jko.dt"]),
    "columns are text": (with_csv(x="a"), [f"{CELL}: data.x"]),
    "swept values are a number": (with_sweep(over={"seed": 3}), ["sweep 'width': over.seed"]),
    "distances are text": (config_of(distances="w2"), [f"{CELL}: distances"]),
    "label is a number": (config_of(methods={"gd": GD, 1: GD}), [f"{CELL}: methods.1"]),
    # values
    "seed too long for a fraction": (config_of(seed=1e30), [f"{CELL}: seed"]),
    "seed below zero": (config_of(seed=-1), [f"{CELL}: seed"]),
    "horizon below zero": (config_of(horizon=-1), [f"{CELL}: horizon"]),
    "dt below zero": (with_jko(dt=-0.1), [f"{CELL}: methods.jko.dt"]),
    "dt below zero in text": (with_jko(dt="-1e-3"), [f"{CELL}: methods.jko.dt"]),
    "dt zero": (config_of(methods={"gd": {"kind": "gd", "dt": 0}}), [f"{CELL}: methods.gd.dt"]),
    "width below zero": (with_grid(half_width=-3.0), [f"{CELL}: grid.half_width"]),
    "block width below zero": (with_grid(blocks=[{"half_width": -0.3}]), [f"{CELL}: grid.blocks.0.half_width"]),
    "one sample": (config_of(data={"kind": "sinus", "n": 1}), [f"{CELL}: data.n"]),
    "noise below zero": (config_of(data={"kind": "sinus", "noise": -1}), [f"{CELL}: data.noise"]),
    "no iterations": (with_jko(max_iterations=0), [f"{CELL}: methods.jko.max_iterations"]),
    "no neurons": (config_of(initial={"kind": "gaussian", "sampled": 0}), [f"{CELL}: initial.sampled"]),
    "one saved time": (config_of(save_at=1), [f"{CELL}: save_at"]),
    "saved times decrease": (config_of(save_at=[0.5, 0.2]), [f"{CELL}: save_at"]),
    "saved times beyond the horizon": (config_of(save_at=[1, 3]), [f"{CELL}: save_at"]),
    "no saved times": (config_of(save_at=[]), [f"{CELL}: save_at"]),
    "no distances": (config_of(distances=[]), [f"{CELL}: distances"]),
    # parametrizations and their geometry
    "imbalance of a metric without": (config_of(parametrization=SPHERE | {"imbalance": 1.0}), [f"{CELL}: parametrization"]),
    "directions of two features": (
        config_of(data={"kind": "csv", "path": "good.csv", "x": ["a", "b"], "y": "target"}, **ON_SPHERE),
        [f"{CELL}: parametrization.kind"],
    ),
    "a second block on a surface": (
        config_of(**ON_SURFACE, grid={"half_width": 3.0, "blocks": [{"half_width": 1.0}]}),
        [f"{CELL}: grid.blocks"],
    ),
    "an apex among the nodes": (config_of(**ON_SURFACE, grid={"points_per_axis": [24, 25]}), [f"{CELL}: grid.points_per_axis"]),
    "weight decay of directions": (
        config_of(**ON_SPHERE, energy={"kind": "squared_loss", "weight_decay": 0.1}),
        [f"{CELL}: energy.kind"],
    ),
    "lifted without a number": (config_of(initial={"kind": "gaussian", "lifted": True}), [f"{CELL}: initial"]),
    "spacing of no grid": (
        config_of(initial={"kind": "gaussian", "sampled": 9, "lifted": True}, methods={"gd": {"kind": "gd", "dt": "h"}}),
        [f"{CELL}: methods.gd.dt"],
    ),
    # spaces
    "a space and a parametrization": (points(parametrization={"kind": "signed"}), [f"{CELL}: space"]),
    "data of points": (points(data={"kind": "sinus"}), [f"{CELL}: data"]),
    "neither data nor a space": (config_of(data=None), [f"{CELL}: data"]),
    "unknown space": (points(space={"kind": "euclidian"}), [f"{CELL}: space.kind"]),
    "space without kind": (points(space={"dimension": 2}), [f"{CELL}: space"]),
    "no dimension": (points(space={"kind": "euclidean", "dimension": 0}), [f"{CELL}: space.dimension"]),
    "lifted points": (points(initial={"kind": "gaussian", "sampled": 3, "lifted": True}), [f"{CELL}: initial.lifted"]),
    "a law wider than the torus": (
        points(space={"kind": "torus", "period": 3.0}, energy={"noise": NOISE}),
        [f"{CELL}: space.period"],
    ),
    "a loss of points": (points(energy={"kind": "squared_loss"}), [f"{CELL}: energy.kind"]),
    "a grid of points too large": (points(grid={"points_per_axis": 100_000}), [f"{CELL}: grid.points_per_axis"]),
    # named terms
    "no terms": (points(energy={}), [f"{CELL}: energy"]),
    "a term that is a number": (points(energy={"strength": 0.1}), [f"{CELL}: energy.strength"]),
    "term without kind": (points(energy={"noise": {"strength": 0.1}}), [f"{CELL}: energy.noise"]),
    "unknown term": (points(energy={"noise": {"kind": "entropie"}}), [f"{CELL}: energy.noise.kind"]),
    "key of a term": (points(energy={"noise": NOISE | {"strenght": 1}}), [f"{CELL}: energy.noise.strenght"]),
    "value of a term": (points(energy={"noise": NOISE | {"strength": -1}}), [f"{CELL}: energy.noise.strength"]),
    "a loss among the terms": (
        points(energy={"loss": {"kind": "squared_loss"}, "noise": NOISE}),
        [f"{CELL}: energy.loss.kind"],
    ),
    "label of a term is a number": (points(energy={1: NOISE}), [f"{CELL}: energy.1"]),
    "unknown shape": (points(energy={"well": WELL | {"shape": "bowl"}}), [f"{CELL}: energy.well.shape"]),
    "no shape": (points(energy={"well": {"kind": "potential"}}), [f"{CELL}: energy.well.shape"]),
    "shape is a number": (points(energy={"well": {"kind": "potential", "shape": 3}}), [f"{CELL}: energy.well.shape"]),
    "key of a shape": (points(energy={"well": WELL | {"stiffnes": 1}}), [f"{CELL}: energy.well.stiffnes"]),
    "value of a shape": (points(energy={"well": WELL | {"stiffness": "x"}}), [f"{CELL}: energy.well.stiffness"]),
    "entry of a matrix": (
        points(energy={"well": WELL | {"stiffness": [[1, "x"], [0, 1]]}}),
        [f"{CELL}: energy.well.stiffness.0.1"],
    ),
    "fields of a shape that contradict": (points(energy={"well": WELL | {"covariance": 2}}), [f"{CELL}: energy.well"]),
    "shape of a single term": (points(energy=WELL | {"stiffness": [[1, 2], [0, 1]]}), [f"{CELL}: energy.stiffness"]),
    "potential of another dimension": (
        points(energy={"well": {"kind": "potential", "shape": "expression", "expression": "x^2 + z^2"}}),
        [f"{CELL}: energy.well.kind"],
    ),
    # laws
    "two spreads": (points(initial={"kind": "gaussian", "std": 0.5, "covariance": [[1, 0], [0, 1]]}), [f"{CELL}: initial"]),
    "no covariance": (points(initial={"kind": "gaussian", "covariance": [[1, 2], [2, 1]]}), [f"{CELL}: initial.covariance"]),
    "mean of another dimension": (points(initial={"kind": "gaussian", "mean": [1, 2, 3]}), [f"{CELL}: initial.mean"]),
    "covariance of another dimension": (
        points(initial={"kind": "gaussian", "covariance": [[0.1]]}),
        [f"{CELL}: initial.covariance"],
    ),
    "mixture without means": (points(initial={"kind": "mixture", "std": 0.5}), [f"{CELL}: initial.means"]),
    "mean outside the grid": (points(initial={"kind": "gaussian", "mean": [2, -1]}), [f"{CELL}: grid.half_width"]),
    "grid beside the law": (points(grid=BASE["grid"] | {"centre": [1, 0]}), [f"{CELL}: grid.half_width"]),
    "centre of another dimension": (points(grid=BASE["grid"] | {"centre": [1, 0, 0]}), [f"{CELL}: grid.centre"]),
    "centre of curved parameters": (
        config_of(**ON_SURFACE, grid=BASE["grid"] | {"centre": 1}),
        [f"{CELL}: grid.centre"],
    ),
    "a component too narrow for the grid": (
        points(initial={"kind": "mixture", "means": [[-0.5, 0], [1, 0]], "std": [0.4, 0.1]}),
        [f"{CELL}: grid.points_per_axis"],
    ),
    # comparisons
    "comparison of points": (
        {
            "cells": {"base": BASE, "other": POINTS | {"seed": 0}},
            "comparisons": {"models": {"cells": ["base", "other"]}},
        },
        ["comparison 'models': cells"],
    ),
    "comparison of one cell": (comparing(["base"]), ["comparison 'models': cells"]),
    "comparison of a cell with itself": (comparing(["base", "other", "base"]), ["comparison 'models': cells"]),
    "comparison of a stranger": (comparing(["base", "bse"]), ["comparison 'models': cells"]),
    "comparison by transport": (comparing(["base", "other"], distances=["w2"]), ["comparison 'models': distances"]),
    "comparison of other data": (
        comparing(["base", "other"], other={"data": {"kind": "sinus", "n": 5}}),
        ["comparison 'models': cells"],
    ),
    "cell named like a folder": ({"cells": {"logs": BASE}}, ["cell 'logs': the name of a cell"]),
    # expressions
    "expression with a typo": (with_jko(epsilon="h^^2"), [f"{CELL}: methods.jko.epsilon"]),
    "expression without times": (with_jko(epsilon="4h^2"), [f"{CELL}: methods.jko.epsilon"]),
    "expression in another variable": (with_jko(epsilon="g^2"), [f"{CELL}: methods.jko.epsilon"]),
    "expression below zero": (with_jko(epsilon="-h^2"), [f"{CELL}: methods.jko.epsilon"]),
    "expression below zero on this grid": (with_jko(epsilon="0.2-h"), [f"{CELL}: methods.jko.epsilon"]),
    "expression that is code": (with_jko(epsilon="__import__('os')"), [f"{CELL}: methods.jko.epsilon"]),
    # names of plug-ins
    "unknown method": (config_of(methods={"gd": {"kind": "sgd", "dt": 0.1}}), [f"{CELL}: methods.gd.kind"]),
    "unknown data": (config_of(data={"kind": "sine"}), [f"{CELL}: data.kind"]),
    "unknown parametrization": (config_of(parametrization={"kind": "bias"}), [f"{CELL}: parametrization.kind"]),
    "unknown initial": (config_of(initial={"kind": "normal"}), [f"{CELL}: initial.kind"]),
    "unknown energy": (config_of(energy={"kind": "hinge"}), [f"{CELL}: energy.kind"]),
    "unknown distance": (config_of(distances=["w2", "w3"]), [f"{CELL}: distances.1"]),
    "unknown domain": (with_jko(domain="logarithmic"), [f"{CELL}: methods.jko.domain"]),
    "unknown reference": (config_of(reference="gdd"), [f"{CELL}: reference"]),
    # names that become files
    "label with a space": (config_of(methods={"gd": GD, "my method": GD}), [f"{CELL}: the name of a label"]),
    "label with a slash": (config_of(methods={"gd": GD, "a/b": GD}), [f"{CELL}: the name of a label"]),
    "empty label": (config_of(methods={"gd": GD, "": GD}), [f"{CELL}: the name of a label"]),
    "hidden label": (config_of(methods={"gd": GD, ".jko": GD}), [f"{CELL}: the name of a label"]),
    "cell with a space": ({"cells": {"my cell": BASE}}, ["cell 'my cell': the name of a cell"]),
    "sweep with a slash": (
        config_of() | {"sweeps": {"a/b": {"base": "base", "over": {"seed": [1]}}}},
        ["sweep 'a/b': the name of a sweep"],
    ),
    # data files
    "missing file": (with_csv(path="missing.csv"), [f"{CELL}: data.path"]),
    "missing feature column": (with_csv(x=["a", "c"]), [f"{CELL}: data.x"]),
    "missing label column": (with_csv(y="label"), [f"{CELL}: data.y"]),
    "wrong separator": (with_csv(path="semicolons.csv"), [f"{CELL}: data.x"]),
    "text in a column": (with_csv(path="text.csv", x=["b"]), [f"{CELL}: data.x"]),
    "hole in a column": (with_csv(path="hole.csv", x=["b"]), [f"{CELL}: data.x"]),
    "infinity in a column": (with_csv(path="infinite.csv", x=["b"]), [f"{CELL}: data.x"]),
    "constant column": (with_csv(path="constant.csv", x=["b"]), [f"{CELL}: data.standardize"]),
    "one row": (with_csv(path="one.csv"), [f"{CELL}: data.path"]),
    "header alone": (with_csv(path="header.csv"), [f"{CELL}: data.path"]),
    "empty file": (with_csv(path="empty.csv"), [f"{CELL}: data.path"]),
    "rows of other lengths": (with_csv(path="ragged.csv"), [f"{CELL}: data.path"]),
    "binary file": (with_csv(path="binary.csv"), [f"{CELL}: data.path"]),
    "subsample too large": (with_csv(subsample=9), [f"{CELL}: data.subsample"]),
    "subsample of one": (with_csv(subsample=1), [f"{CELL}: data.subsample"]),
    "no columns": (with_csv(x=[]), [f"{CELL}: data.x"]),
    # the grid against the rest
    "grid too coarse": (with_grid(points_per_axis=8), [f"{CELL}: grid.points_per_axis"]),
    "grid too small": (with_grid(half_width=1.0), [f"{CELL}: grid.half_width"]),
    "grid too coarse for a small start": (
        config_of(initial={"kind": "small_scale", "scale": 0.05}),
        [f"{CELL}: grid.points_per_axis"],
    ),
    "grid too large": (with_grid(points_per_axis=10_000), [f"{CELL}: grid.points_per_axis"]),
    "grid too large in three dimensions": (
        config_of(parametrization={"kind": "weight_alpha"}, grid={"half_width": 3.0, "points_per_axis": 500}),
        [f"{CELL}: grid.points_per_axis"],
    ),
    "widths for another number of parameters": (with_grid(half_width=[3.0, 3.0, 3.0]), [f"{CELL}: grid.half_width"]),
    "block widths for another number of parameters": (
        with_grid(blocks=[{"half_width": [0.3, 0.3, 0.3]}]),
        [f"{CELL}: grid.blocks.0.half_width"],
    ),
    # sweeps
    "unknown base": (with_sweep(base="bse"), ["sweep 'width': base"]),
    "unknown mode": (with_sweep(mode="grid"), ["sweep 'width': mode"]),
    "lists of other lengths": (
        with_sweep(mode="zip", over={"seed": [1, 2], "horizon": [0.5, 1.0, 2.0]}),
        ["sweep 'width': over"],
    ),
    "nothing to sweep over": (with_sweep(over={}), ["sweep 'width': over"]),
    "a value twice": (with_sweep(over={"seed": [1, 1]}), ["sweep 'width': over"]),
    "a cell of that name": (
        {"cells": {"base": BASE, "w-seed=1": BASE}, "sweeps": {"w": {"base": "base", "over": {"seed": [1]}}}},
        ["sweep 'w': over"],
    ),
    "a bad swept value": (
        with_sweep(over={"grid.points_per_axis": [24, 1]}),
        ["cell 'width-points_per_axis=1': grid.points_per_axis"],
    ),
    # several
    "errors everywhere": (
        {
            "defaults": {"data": {"kind": "sinus", "n": 1}, "methods": {"gd": GD}},
            "cells": {"a": {"reference": "gd"}, "b": {"horizon": -1, "reference": "gd", "methods": {"gd": {"dt": 0}}}},
            "sweeps": {"s": {"base": "c", "over": {"seed": [1]}}},
            "extra": 1,
        },
        [
            "config: extra",
            "sweep 's': base",
            "cell 'a': data.n",
            "cell 'b': data.n",
            "cell 'b': horizon",
            "cell 'b': methods.gd.dt",
        ],
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data files, good and bad."""
    path = tmp_path_factory.mktemp("data")
    files = {
        "good.csv": "a,b,target\n1,4,2\n2,3,1\n3,5,0\n4,1,1\n",
        "semicolons.csv": "a;b;target\n1;4;2\n2;3;1\n",
        "text.csv": "a,b,target\n1,4,2\n2,high,1\n3,low,0\n",
        "hole.csv": "a,b,target\n1,4,2\n2,,1\n3,5,0\n",
        "infinite.csv": "a,b,target\n1,4,2\n2,inf,1\n3,5,0\n",
        "constant.csv": "a,b,target\n1,4,2\n2,4,1\n3,4,0\n",
        "one.csv": "a,b,target\n1,4,2\n",
        "header.csv": "a,b,target\n",
        "empty.csv": "",
        "ragged.csv": "a,b,target\n1,4,2\n2,3,1,7\n",
        "blank_lines.csv": "a,b,target\n1,4,2\n\n\n2,high,1\n",
        "nearly_constant.csv": "a,b,target\n" + "".join(f"{k},{int(k == 9)},{k % 3}\n" for k in range(10)),
    }
    for name, text in files.items():
        (path / name).write_text(text)
    (path / "binary.csv").write_bytes(b"\xff\xfe\x00a,b\n1,2\n")
    (path / "folder").mkdir()
    return path


def refusal(config, root):
    """Load a config that has to be refused and return the error."""
    with pytest.raises(ConfigError) as caught:
        load(config, root)
    return caught.value


def loaded(config, root, cell="base"):
    """Load a cell of a config; return it and no keys, or None and the keys of the errors."""
    try:
        return load(config, root).cells[cell], []
    except ConfigError as error:
        return None, [mistake.key for mistake in error.mistakes]


every_mistake = pytest.mark.parametrize("case", MISTAKES)


@every_mistake
def test_a_mistake_is_found_at_its_cell_and_key_and_nowhere_else(case, folder):
    """Each mistake gives one line: its cell or sweep, its key in full, what was received and what was expected."""
    config, places = MISTAKES[case]
    error = refusal(config, folder)
    found = [f"{mistake.where}: {mistake.key}" for mistake in error.mistakes]
    assert [text if ": " in place else text.split(": ")[0] for text, place in zip(found, places, strict=True)] == places
    lines = str(error).splitlines()
    count = "1 error" if len(places) == 1 else f"{len(places)} errors"
    assert lines[0] == f"the config has {count}; nothing was run:"
    assert len(lines) == 1 + len(places)  # every problem on one line
    for line, mistake in zip(lines[1:], error.mistakes, strict=True):
        assert line == f"  - {mistake.where}: {mistake.key}: got {mistake.received}, expected {mistake.expected}"
        assert mistake.received
        assert mistake.expected


JARGON = ("dictionary", "tuple", "np.", "object to extract", "instance of", "after validation", "Input should", "pydantic")


@every_mistake
def test_a_message_speaks_of_the_file_and_not_of_python(case, folder):
    """A user of YAML knows lists, mappings, numbers and text: no tuples, dictionaries, numpy reprs or parser's complaints."""
    for mistake in refusal(MISTAKES[case][0], folder).mistakes:
        for word in JARGON:
            assert word.lower() not in mistake.expected.lower()


def sections(text):
    """Split the snapshot file into case -> message."""
    found = {}
    for block in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        case, _, message = block.partition(" ==\n")
        found[case] = message.rstrip("\n")
    return found


def snapshot(case, message):
    """Compare a message with the one on file, or put it there."""
    found = sections(SNAPSHOT.read_text(encoding="utf-8")) if SNAPSHOT.exists() else {}
    if UPDATE:
        found[case] = message
        kept = [name for name in MISTAKES if name in found]
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text("\n".join(f"== {name} ==\n{found[name]}\n" for name in kept), encoding="utf-8")
    assert case in found, f"{SNAPSHOT.name} has no section {case!r}: set WGFPIPE_UPDATE_SNAPSHOTS=1, and read what it adds"
    assert message == found[case]


@every_mistake
def test_messages_are_word_for_word_those_on_file(case, folder):
    """The full message of every mistake is the one that was read and approved."""
    snapshot(case, str(refusal(MISTAKES[case][0], folder)))


def test_the_snapshot_holds_no_other_cases():
    """A case that was renamed or removed leaves no message behind."""
    assert set(sections(SNAPSHOT.read_text(encoding="utf-8"))) == set(MISTAKES)


def test_every_error_of_a_cell_is_told_at_once(folder):
    """An unknown reference, a bad label and a bad value of one cell come in one error: nobody fixes them one by one."""
    error = refusal(config_of(horizon=-1, reference="gdd", methods={"gd": GD, "my method": GD}), folder)
    keys = {mistake.key for mistake in error.mistakes}
    assert {"horizon", "reference", "the name of a label"} <= keys


def test_cells_are_judged_as_if_they_were_alone(folder):
    """Sections that cells share are looked at once, and none is taken for another that is written otherwise, or nearly so."""
    changes = (
        {"grid": BASE["grid"] | {"half_width": 1.0}},
        {"grid": BASE["grid"] | {"half_width": True}},
        {"energy": {"kind": "squared_loss", "weight_decay": -1}},
        {"energy": {1: NOISE}},
        {"energy": {"1": NOISE}},
        {"methods": {"gd": GD, "jko": JKO | {"epsilon": "0.2-h"}}},
        {"methods": {"gd": GD, "other": JKO | {"epsilon": "0.2-h"}}},
        {"data": {"kind": "csv", "path": "good.csv", "x": ["c"], "y": "target"}},
        {"parametrization": SPHERE, "energy": {"kind": "squared_loss", "weight_decay": 0.1}},
        {"data": None, "space": POINTS["space"], "energy": {"kind": "quadratic"}},
        {},
    )
    cells = {f"c{k}": copy.deepcopy(BASE) | changed for k, changed in enumerate(changes * 2)}
    wrong, right = [], {}
    for name, cell in cells.items():
        made, _ = loaded({"cells": {name: cell}}, folder, name)
        if made is None:
            wrong += refusal({"cells": {name: cell}}, folder).mistakes
        else:
            right[name] = made.resolved()
    assert refusal({"cells": cells}, folder).mistakes == wrong
    assert {
        name: cell.resolved() for name, cell in load({"cells": {n: cells[n] for n in right}}, folder).cells.items()
    } == right
    assert len(right) >= 4


def test_what_swept_cells_share_is_worked_out_once(monkeypatch):
    """One grid, one look at the law on it, whatever the seeds are: a cell of a sweep takes a fifth of what one alone takes."""
    made = []
    build = GridSpec.build
    monkeypatch.setattr(GridSpec, "build", lambda self, *given: made.append(1) or build(self, *given))
    cells = load(with_sweep(over={"seed": list(range(50))}), ROOT).cells
    assert len(cells) == 51
    assert len(made) == 1
    assert len({id(cell.methods["jko"]) for cell in cells.values()}) == 1


@pytest.mark.parametrize("label", ["float", "int", "str", "gd[2]"])
def test_a_label_is_named_whatever_it_is_called(folder, label):
    """No label is mistaken for a part of pydantic's path."""
    error = refusal(config_of(methods={"gd": GD, label: {"kind": "gd", "dt": -1}}), folder)
    assert any(label in mistake.key or label in mistake.received for mistake in error.mistakes)


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("horizon", config_of(horizon=INF)),
        ("grid.half_width", with_grid(half_width=INF)),
        ("data.amplitude", config_of(data={"kind": "sinus", "amplitude": NAN})),
        ("data.amplitude", config_of(data={"kind": "sinus", "amplitude": INF})),
        ("initial.std", config_of(initial={"kind": "gaussian", "std": INF})),
        ("methods.jko.tolerance", with_jko(tolerance=INF)),
        ("methods.jko.dt", with_jko(dt=INF)),
        ("save_at", config_of(save_at=[1.0, NAN])),
    ],
)
def test_numbers_that_are_not_finite_are_refused(folder, key, config):
    """YAML can write .inf and .nan; no quantity of the config may be either, and the key is named."""
    assert [mistake.key.removesuffix(".1") for mistake in refusal(config, folder).mistakes] == [key]


@pytest.mark.parametrize("path", ["folder", ""])
def test_a_folder_is_no_data_file(folder, path):
    """A path that is a folder is an error of the config, not a traceback."""
    assert [mistake.key for mistake in refusal(with_csv(path=path), folder).mistakes] == ["data.path"]


def test_the_line_of_a_bad_entry_is_that_of_the_file(folder):
    """Blank lines count: the line named is where an editor finds the entry."""
    (mistake,) = refusal(with_csv(path="blank_lines.csv", x=["b"]), folder).mistakes
    assert "line 5 of blank_lines.csv holds 'high'" in mistake.expected


def test_a_data_set_that_passes_can_be_made(folder):
    """The check draws the rows that the job will draw: a subsample that is constant with the cell's seed is refused."""
    accepted = []
    for seed in range(8):
        config = with_csv(path="nearly_constant.csv", x=["b"], subsample=3)
        config["cells"]["base"]["seed"] = seed
        cell, keys = loaded(config, folder)
        accepted.append(cell is not None)
        if cell is None:
            assert keys == ["data.standardize"]
        else:
            assembly.data_dataset(cell.data, cell.seed, folder / cell.data.source)
    assert set(accepted) == {True, False}  # 1 of 10 rows differs: 3 of 10 draws of 3 rows have it


def test_a_grid_that_passes_holds_the_initial_measure():
    """Five parameters, a ball of radius .05 and a spacing of .05: no node is in the ball, so the config is refused."""
    config = config_of(
        data={"kind": "random", "features": 4, "n": 2},
        grid={"half_width": 0.275, "points_per_axis": 12},
        initial={"kind": "small_scale", "scale": 0.05},
    )
    cell, keys = loaded(config, ROOT)
    assert cell is None
    assert all(key.startswith(("grid", "initial")) for key in keys)


def test_a_grid_too_large_is_refused_before_it_is_made(monkeypatch):
    """A typing error of some zeros must not take the machine's memory: no axis of that length is ever allocated."""
    made = np.linspace

    def guarded(start, stop, num=50, *arguments, **options):
        assert num <= 10_000_000, f"an axis of {num} nodes was about to be allocated"
        return made(start, stop, num, *arguments, **options)

    monkeypatch.setattr(np, "linspace", guarded)
    assert [mistake.key for mistake in refusal(with_grid(points_per_axis=10**9), ROOT).mistakes] == ["grid.points_per_axis"]


def test_a_cell_whose_neurons_are_drawn_can_do_without_a_grid(folder):
    """Ten features make a grid of 24^11 nodes: refused, unless neurons are drawn."""
    features = [f"f{k}" for k in range(10)]
    rows = np.random.default_rng(0).standard_normal((6, 11))
    header = ",".join([*features, "target"])
    (folder / "wide.csv").write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]))
    data = {"kind": "csv", "path": "wide.csv", "x": features, "y": "target"}
    assert [mistake.key for mistake in refusal(config_of(data=data), folder).mistakes] == ["grid.points_per_axis"]
    cell = load(config_of(data=data, initial={"kind": "gaussian", "sampled": 20}), folder).cells["base"]
    reason = cell.grid.make(cell.parametrization, 11, 6, cell.initial)
    assert "11 parameters" in reason
    assert "GB" in reason


@pytest.mark.parametrize(
    "config",
    [config_of(distances=["w2", "w2"]), with_sweep(over={"seed": []})],
    ids=["a distance twice", "an empty list of values"],
)
def test_what_cannot_be_meant_is_refused(config):
    """A distance twice breaks the labels of the file; a sweep over no values makes no cells."""
    refusal(config, ROOT)


def test_settings_that_differ_but_would_share_a_name_say_so():
    """Two keys that end alike with one value would be one folder: the error names the cell and both settings."""
    over = {"grid.half_width": [3.5], "initial.half_width": [3.5]}
    config = with_sweep(mode="ablation", over=over)
    config["cells"]["base"]["initial"] = {"kind": "uniform", "half_width": 2.0}
    message = str(refusal(config, ROOT))
    for text in ("width-half_width=3.5", "initial.half_width", "grid.half_width"):
        assert text in message


# Files


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "an existing YAML file"),
        ("cells: [unclosed", "valid YAML"),
        ("- a\n- list\n", "a mapping with the keys defaults, cells, sweeps"),
        ("", "a mapping with the keys defaults, cells, sweeps"),
    ],
    ids=["missing", "no YAML", "list", "empty"],
)
def test_a_file_that_is_no_config_is_named(tmp_path, content, expected):
    """The error has the path and what was expected there, on one line."""
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_file(path)
    (line,) = str(caught.value).splitlines()[1:]
    assert "config.yaml" in line
    assert expected in line


CONFIGS = ["config.yaml", ".test/config.yaml", "config.full.yaml"]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_configs_of_the_repository_are_valid(name, monkeypatch):
    """All files load, with paths from their own folder, and by ``python -m wgfpipe validate``."""
    from wgfpipe.__main__ import main

    monkeypatch.chdir(ROOT)
    assert main(["validate", name]) == 0


def test_the_config_for_a_cluster_is_the_default_experiment_refined():
    """The same cells; no grid coarser, no fewer repetitions, every hop of the default, and four dimensions refined."""
    default, full = load_file(ROOT / "config.yaml"), load_file(ROOT / "config.full.yaml")
    assert set(full.cells) == set(default.cells)
    for name, cell in default.cells.items():
        assert np.all(np.asarray(full.cells[name].grid.points_per_axis) >= cell.grid.points_per_axis)
        assert full.cells[name].repetitions >= cell.repetitions
    for name, budgets in default.budgets.items():
        for label, hops in budgets.items():
            assert set(hops) <= set(full.budgets[name][label])
    assert [full.trained[run.cell].grid.points_per_axis for _, run, _ in full.budgets["pairs"]["jko"]["grid"].levels] == [
        13,
        (25,) * 4,
        (49,) * 4,
    ]
    hops = {hop for budgets in full.budgets.values() for of in budgets.values() for hop in of}
    assert hops == {"grid", "entropy", "step", "width", "reference"}


def test_a_config_extends_another(tmp_path):
    """Key by key, over any number of files, with paths from the folder of each; the file itself has the last word."""
    (tmp_path / "below").mkdir()
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(config_of(horizon=1.0)))
    (tmp_path / "below" / "middle.yaml").write_text("extends: ../base.yaml\ncells: {base: {save_at: 3, seed: 1}}\n")
    (tmp_path / "last.yaml").write_text("extends: below/middle.yaml\ncells: {base: {seed: 2}}\n")
    cell = load_file(tmp_path / "last.yaml").cells["base"]
    assert (cell.horizon, cell.save_at, cell.seed) == (1.0, 3, 2)
    assert list(cell.methods) == ["gd", "jko"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("extends: b.yaml", "extends: a.yaml", "does not lead back to itself; on the way are a.yaml, b.yaml"),
        ("extends: a.yaml", "", "does not lead back to itself; on the way are a.yaml"),
        ("extends: c.yaml", "", "an existing YAML file; there is no "),
        ("extends: [b.yaml]", "", "the path of a config file, seen from that of "),
        ("extends: null", "", "the path of a config file, seen from that of "),
    ],
)
def test_what_cannot_be_extended_is_said(tmp_path, first, second, expected):
    """A circle, a missing file, and what is no path."""
    (tmp_path / "a.yaml").write_text(first)
    (tmp_path / "b.yaml").write_text(second)
    with pytest.raises(ConfigError) as caught:
        load_file(tmp_path / "a.yaml")
    (only,) = caught.value.mistakes
    assert only.key == "extends"
    assert expected in only.expected


# The JSON schema


@pytest.fixture(scope="module")
def validator():
    """What an editor does with the schema."""
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_schema_accepts_the_configs_of_the_repository(validator, name):
    """An editor finds nothing to complain about."""
    assert list(validator.iter_errors(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))) == []


PARTIAL = {
    "nothing": None,
    "no keys": {},
    "one key of the grid": {"grid": {"points_per_axis": 32}},
    "an option without its kind": {"initial": {"std": 0.3}},
    "a method's option without its kind": {"methods": {"jko": {"dt": 0.5}}},
    "a method removed": {"methods": {"jko": None}},
    "an expression": {"methods": {"jko": {"kind": "jko_entropic", "epsilon": "4*h^2"}}},
    "times": {"save_at": [0.5, 1.0]},
}


@pytest.mark.parametrize("case", PARTIAL)
def test_the_schema_lets_a_cell_leave_out_what_the_defaults_give(validator, case):
    """Cells are partial."""
    assert validator.is_valid({"cells": {"base": PARTIAL[case]}})


MISSPELT = {
    "top level": {"cels": {}},
    "cell": {"cells": {"base": {"horizn": 1}}},
    "defaults": {"defaults": {"horizn": 1}},
    "grid": {"cells": {"base": {"grid": {"points": 3}}}},
    "data": {"cells": {"base": {"data": {"kind": "sinus", "slope": 1}}}},
    "method": {"cells": {"base": {"methods": {"gd": {"kind": "gd", "step": 0.1}}}}},
    "option of another method": {"cells": {"base": {"methods": {"gd": {"kind": "gd", "epsilon": 0.1}}}}},
    "kind": {"cells": {"base": {"methods": {"gd": {"kind": "sgd"}}}}},
    "verdict": {"cells": {"base": {"verdict": {"tolerence": 1}}}},
    "sweep": {"sweeps": {"s": {"base": "base", "over": {"seed": [1]}, "moed": "zip"}}},
}


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"energy": {"noise": None, "well": {"shape": "double_well", "height": 2.0}}},
        {"energy": {"noise": {"strength": 0.1}}},
        {"energy": WELL},
        {"space": None, "data": None},
        {"initial": {"kind": "mixture", "means": [[0, 0]], "std": 1}},
    ],
)
def test_the_schema_knows_points_and_terms(validator, sections):
    """Terms under labels, fields of a shape beside it, null for what is not wanted."""
    validator.validate(points(**sections))


@pytest.mark.parametrize(
    "energy", [{"well": WELL | {"stiffnes": 1}}, {"well": WELL | {"shape": "bowl"}}, {"well": 3}, WELL | {"height": 1}]
)
def test_the_schema_rejects_terms_that_are_none(validator, energy):
    """An editor underlines the energy."""
    error = jsonschema.exceptions.best_match(validator.iter_errors(points(energy=energy)))
    assert list(error.absolute_path)[:3] == ["cells", "base", "energy"]


@pytest.mark.parametrize("case", MISSPELT)
def test_the_schema_rejects_a_misspelt_key_where_it_stands(validator, case):
    """An editor underlines the section of the file that holds the mistake, or the file where a section is misspelt."""
    config = {"cells": {"base": {}}} | MISSPELT[case]
    error = jsonschema.exceptions.best_match(validator.iter_errors(config))
    assert error is not None
    top = next(iter(MISSPELT[case]))
    assert list(error.absolute_path)[:1] == ([] if case == "top level" else [top])


def test_the_schema_on_file_is_the_one_generated():
    """``python -m wgfpipe schema > workflow/schemas/config.schema.json`` was run after the last change of the config."""
    path = ROOT / "workflow" / "schemas" / "config.schema.json"
    assert path.read_text(encoding="utf-8") == json.dumps(json_schema(), indent=2) + "\n"


def test_the_config_names_its_schema_in_the_first_line():
    """The line that editors look for, with the path of a file that exists."""
    first = (ROOT / "config.yaml").read_text(encoding="utf-8").splitlines()[0]
    match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert match
    assert (ROOT / match[1]).exists()
