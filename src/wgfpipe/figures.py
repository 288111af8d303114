"""Figures for a notebook or a paper: functions of Datasets, each on Axes of yours or on a new figure as wide as a column.

Example::

    problem = wgfpipe.problem(data={"kind": "sinus", "n": 8})
    runs = {label: wgfpipe.solve(problem, method, horizon=2.0) for label, method in methods.items()}
    with wgfpipe.figures.styled():
        axes = wgfpipe.figures.draw_distances(wgfpipe.compare(problem, runs, "gd"), "w1", tolerance=0.1)
        axes.legend()
        Path("w1.pdf").write_bytes(wgfpipe.figures.render_figure(axes.figure, "pdf", "W1"))

``looks_of`` gives labels the looks that they have in the report. ``draw_cell`` draws all figures of a cell into a folder.
"""

from wgfpipe.report.certificates import draw_certificate as draw_certificate
from wgfpipe.report.curves import draw_distances as draw_distances
from wgfpipe.report.curves import draw_energy as draw_energy
from wgfpipe.report.figures import draw_cell as draw_cell
from wgfpipe.report.fits import draw_fit as draw_fit
from wgfpipe.report.pictures import draw_density as draw_density
from wgfpipe.report.pictures import draw_measure as draw_measure
from wgfpipe.report.style import WIDTHS as WIDTHS
from wgfpipe.report.style import looks_of as looks_of
from wgfpipe.report.style import render_figure as render_figure
from wgfpipe.report.style import styled as styled
from wgfpipe.report.sweeps import slope_of as slope_of
