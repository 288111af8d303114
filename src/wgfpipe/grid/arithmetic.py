"""Arithmetics of scalings: float64, numbers with levels, and logarithms, behind the same few operations."""

from typing import Any

import numpy as np

from wgfpipe.grid import wide
from wgfpipe.grid.gibbs import ComplexArray, GibbsKernel
from wgfpipe.grid.wide import Wide
from wgfpipe.measure import Array

TINY = float(np.finfo(float).tiny)
"""Masses that are denormal numbers count as none: 1e-292 of what rounding can tell from nothing."""


class PlainNumbers:
    """Arithmetic of a step's scalings in float64: arrays (atom,), and the Gibbs kernel, whose applications it counts."""

    rank = 0

    def __init__(self, gibbs: GibbsKernel) -> None:
        self.gibbs = gibbs
        self.applications = 0

    def apply(self, numbers: Any) -> Any:
        """Apply the kernel."""
        self.applications += 1
        return self.gibbs.apply(numbers)

    def number(self, values: Array) -> Any:
        """Return float64 values as numbers of this arithmetic."""
        return values

    def exponential(self, exponent: Array) -> Any:
        """Exponential of large numbers, whose digits products may cancel."""
        return np.exp(exponent)

    def from_log(self, log_values: Array) -> Any:
        """Exponential of numbers as small as logarithms of masses, -inf for an empty node."""
        return np.exp(log_values)

    def logarithm(self, numbers: Any) -> Array:
        """Logarithm where numbers are positive; a finite number of no meaning where they are zero."""
        return np.log(np.maximum(numbers, TINY))

    def product(self, first: Any, second: Any) -> Any:
        """Product, entry by entry."""
        return first * second

    def quotient(self, first: Any, second: Any) -> Any:
        """Quotient, entry by entry."""
        return first / second

    def power(self, numbers: Any, exponent: float) -> Any:
        """Power, entry by entry; zero where a number is zero, whatever the exponent: what is not reached answers nothing."""
        if exponent == 1.0:
            return numbers
        return np.power(numbers, exponent, out=np.zeros_like(numbers), where=numbers > 0.0)

    def log_mass(self, numbers: Any, n_signs: int) -> Array:
        """Logarithm of the sum over the atoms of each sign, (sign, 1)."""
        with np.errstate(divide="ignore"):
            return np.log(numbers.reshape(n_signs, -1).sum(axis=1, keepdims=True))

    def narrow(self, numbers: Any, log_share: Array | float = 0.0) -> Array:
        """Return the numbers as float64, times ``exp(log_share)``, (sign, 1); without one they may be the same array."""
        if isinstance(log_share, float) and log_share == 0.0:
            return numbers
        share = np.exp(log_share)
        return (numbers.reshape(np.size(share), -1) * share).ravel()


class WideNumbers(PlainNumbers):
    """The same arithmetic for scalings that float64 does not hold."""

    rank = 1

    def apply(self, numbers: Wide) -> Wide:
        self.applications += 1
        return self.gibbs.apply_wide(numbers)

    def number(self, values: Array) -> Wide:
        return wide.wide(values)

    def exponential(self, exponent: Array) -> Wide:
        return wide.exponential(exponent)

    def from_log(self, log_values: Array) -> Wide:
        return wide.exponential(log_values)

    def logarithm(self, numbers: Wide) -> Array:
        return wide.logarithm(numbers._replace(values=np.maximum(numbers.values, TINY)))

    def product(self, first: Wide, second: Wide) -> Wide:
        return wide.product(first, second)

    def quotient(self, first: Wide, second: Wide) -> Wide:
        return wide.quotient(first, second)

    def power(self, numbers: Wide, exponent: float) -> Wide:
        if exponent == 1.0:
            return numbers
        raised = wide.exponential(exponent * self.logarithm(numbers))
        return raised._replace(values=np.where(numbers.values > 0.0, raised.values, 0.0))

    def log_mass(self, numbers: Wide, n_signs: int) -> Array:
        levels = np.where(numbers.values > 0.0, numbers.levels, -np.inf).reshape(n_signs, -1)
        top = levels.max(axis=1, keepdims=True)
        top[top == -np.inf] = 0.0
        near = wide.narrow(numbers._replace(levels=(numbers.levels.reshape(n_signs, -1) - top).ravel()))
        return super().log_mass(near, n_signs) + top * wide.LOG_LEVEL

    def narrow(self, numbers: Wide, log_share: Array | float = 0.0) -> Array:
        n_signs = np.size(log_share)
        share = wide.exponential(np.repeat(np.ravel(log_share), len(numbers.values) // n_signs))
        return wide.narrow(wide.product(numbers, share))


class Logarithms(PlainNumbers):
    """The same arithmetic for kernels that float64 does not hold: logarithms in two parts, (atom,) complex.

    The real part is as small as the logarithm of a mass and keeps its digits, the imaginary part as large as V / epsilon.
    """

    rank = 2

    def apply(self, numbers: ComplexArray) -> ComplexArray:
        self.applications += 1
        return self.gibbs.apply_logs(numbers)

    def number(self, values: Array) -> ComplexArray:
        with np.errstate(divide="ignore"):
            return np.log(values).astype(complex)

    def exponential(self, exponent: Array) -> ComplexArray:
        numbers = np.zeros(len(exponent), complex)
        numbers.imag = exponent
        return numbers

    def from_log(self, log_values: Array) -> ComplexArray:
        return log_values.astype(complex)

    def logarithm(self, numbers: ComplexArray) -> Array:
        return np.where(numbers.real == -np.inf, 0.0, numbers.real + numbers.imag)

    def product(self, first: ComplexArray, second: ComplexArray) -> ComplexArray:
        return first + second

    def quotient(self, first: ComplexArray, second: ComplexArray) -> ComplexArray:
        return first - second

    def power(self, numbers: ComplexArray, exponent: float) -> ComplexArray:
        return np.where(numbers.real == -np.inf, complex(-np.inf, 0.0), exponent * numbers)

    def log_mass(self, numbers: ComplexArray, n_signs: int) -> Array:
        return np.logaddexp.reduce((numbers.real + numbers.imag).reshape(n_signs, -1), axis=1, keepdims=True)

    def narrow(self, numbers: ComplexArray, log_share: Array | float = 0.0) -> Array:
        logs = (numbers.real + numbers.imag).reshape(np.size(log_share), -1)
        return np.exp(logs + log_share).ravel()
