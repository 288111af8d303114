"""The figures a cell may have, which of them it has, and what the report says under them.

The one list of figures. Who plans a run, who draws and who writes the page ask here, and nothing is imported for it. A rule of
the workflow has the same outputs for every cell, so the file of a figure that does not apply says so in a sentence.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A figure: what it is called, and where it applies.

    Attributes
    ----------
    title : str
    caption : str
        What stands under it.
    elsewhere : str
        Caption where points have no outputs; the same unless given.
    why_outputs : str
        Why it needs points with outputs; empty if it does not.
    more : tuple of (str, str)
        Variables, and what is said further where trajectories or distances say these.
    variable : str
        What trajectories or distances must say for it; empty for what all of them say.
    why_variable : str
        Why there is no such figure where they do not.
    """

    title: str
    caption: str
    elsewhere: str = ""
    more: tuple[tuple[str, str], ...] = ()
    why_outputs: str = ""
    variable: str = ""
    why_variable: str = ""

    def applies(self, outputs: bool, variables: Collection[str] = ()) -> bool:
        """Whether there is such a figure, where points have outputs or have none, and trajectories say these variables."""
        return not self.refusal(outputs, variables)

    def refusal(self, outputs: bool, variables: Collection[str] = ()) -> str:
        """Why there is no such figure; empty where there is."""
        if self.why_outputs and not outputs:
            return self.why_outputs
        return self.why_variable if self.variable and self.variable not in variables else ""

    def told(self, outputs: bool, variables: Collection[str] = ()) -> str:
        """Return the caption, with what is said of the variables that there are."""
        caption = self.caption if outputs or not self.elsewhere else self.elsewhere
        return " ".join([caption, *(words for variable, words in self.more if variable in variables)])


CATALOGUE: dict[str, Entry] = {
    "energy": Entry(
        "Energy",
        "Energy over flow time, and its relative difference to the reference; lines are medians over repetitions, shaded in "
        "their colour the range.",
        "Energy over flow time, and its difference to the reference's as a share of the energy that the reference released; "
        "lines are medians over repetitions, shaded in their colour the range.",
        more=(
            (
                "least_dissipation",
                "Of particles that keep their masses, in W₂ and without entropy, theory predicts the rate -dF/dt: lines by "
                "differences of the energies of steps, crosses ∫ |v|² dμ of the saved measures, v the velocity of least norm.",
            ),
            (
                "fitting_time",
                "Grey dashes: the times ln(1/λ) / |D| at which orthogonal inputs are fitted and the plateaus between, for both "
                "layers trained by the squared loss from a balanced start of size λ. Times are asymptotic, 1.5 / |D| off.",
            ),
        ),
    ),
    "distances": Entry(
        "Distances",
        "Distance to the reference over flow time, as a share of the largest distance that the reference travelled; "
        "what is not divided says so. The black line is the reference's own way from its start, the line across the "
        "tolerance, where a verdict asks. "
        "Lines are medians over repetitions, shaded in their colour the range. Grey, for grid methods: the distance of "
        "the reference to the nearest measure on the grid, below which none of them can come. In the figure dotted in a "
        "colour, where it can be told from the distance: the plan that keeps labels, an upper bound.",
    ),
    "measures": Entry(
        "Measures",
        "The measure of the neurons' parameters, blurred by half the gap between neighbours, on a grid in its block, or "
        "where noise has moved them estimated by kernels; blue for neurons of output sign +, red for -, dark where both lie. "
        "Dots are neurons, where they are few. Grey lines: where a sample switches a neuron, for many samples 16 quantiles. "
        "Right: the density at the last time less the reference's, both blurred alike and at least 1.8 times as much, brown "
        "for more, purple for less.",
        "The measures over flow time, blurred by half the gap between neighbours, on a grid in its block. Particles that are "
        "drawn or moved by noise are a sample: their density is an estimate by Gaussian kernels, of bandwidth s n^(-1/6), s² "
        "their variance and n their number, up to twice that in the tails. Dots are particles. Orange lines, where the "
        "reference has a density: 5, 25 and 75 % of its largest, the same in every row. Right or below: the density less the "
        "reference's, both blurred alike, at least 1.8 times as much or by the bandwidth of a sample, brown for more and "
        "purple for less.",
    ),
    "fit": Entry(
        "Fit",
        "The network at the end, and its difference to the reference's; with several features, outputs against labels. Ticks "
        "at the bottom: inputs of the samples, of many 16 quantiles.",
        why_outputs="points of this space have no outputs, so there is no fit to draw",
    ),
    "certificates": Entry(
        "Certificates",
        "What the solvers say of every step: a panel for all methods that certify the same, then one a quantity; exact zeros "
        "stand on a level of their own. Of the first repetition. "
        "Methods without an equation to solve have none. "
        "Steps whose status is not ok are marked at the bottom.",
    ),
    "descends": Entry(
        "What each scheme descends",
        "Least squares of how the saved measures moved. Left: the clock, 1 for the flow of F. Middle: the diffusion, with "
        "theory's value as a stroke: the noise of particles, ε / (4 dt) of entropic steps that are not debiased, ε² / (16 v) a "
        "step of debiased ones on a Gaussian of variance v, and what the energy has of its own. "
        "Bars are two standard errors. Right: the share of the motion that no flow of F and an "
        "entropy explains: of steps too long for it, of another metric, or of a lattice that holds masses.",
        variable="clock",
        why_variable="no clocks were measured here",
    ),
    "rate": Entry(
        "Rate",
        "Left or above: the energy, and dashed the bound 1 / (1 / F(0) + 4 t / C) of the reference, where that is a flow in "
        "W2. C is the largest squared negative Sobolev norm S² at its saved times until t. Right or below: the Łojasiewicz "
        "ratio MMD⁴ / (S² ∫ |∇V|² dμ), at most 1, the grey line. The nearer to 1, the nearer the flow is to its bound.",
        variable="lojasiewicz_ratio",
        why_variable="the energy is no squared discrepancy, so there is no Lojasiewicz ratio to draw",
    ),
    "held_out": Entry(
        "Held out",
        "The energy on what the flow sees, and right or below on what is held out from it, on one scale. Dashed, where it is "
        "known: the held-out energy of the target that the flow sees. Below it a flow learns the sample and no more. Labels "
        "without noise have the floor 0.",
        variable="held_out_energy",
        why_variable="nothing is held out from the flow, so there is no other energy to draw",
    ),
}
"""File -> figure, in the order of the page."""


def figures_of(outputs: bool, variables: Collection[str] = ()) -> tuple[str, ...]:
    """Names of the figures of a cell whose points have outputs, or have none, and whose trajectories say these variables."""
    return tuple(name for name, entry in CATALOGUE.items() if entry.applies(outputs, variables))


def figures_of_spec(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the figures that a resolved cell, or its part for the figures, is known to have before anything is run.

    What is trained on data has outputs. Which variables trajectories say is known of trajectories.
    """
    return figures_of(spec.get("data") is not None)
