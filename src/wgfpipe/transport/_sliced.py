"""Compiled one-dimensional transport of weighted atoms by merged quantiles, in O(atom) once they are sorted."""

import numpy as np

from wgfpipe.compiled import compiled


@compiled()
def pull(values, weights, order, goal_values, goal_weights, goal_order, shift):  # pragma: no cover - compiled
    """On every line write how far each atom is from its mean image, ``shift`` (line, atom); return the sum of costs.

    ``values`` (line, atom) and ``goal_values`` (line, goal) are positions, ``order`` and ``goal_order`` sort them. The two
    masses are equal but for rounding, which goes to the last atom.
    """
    total = 0.0
    n_goals = len(goal_weights)
    for k in range(len(values)):
        j = 0
        goal = goal_order[k, 0]
        left_there = goal_weights[goal]
        for i in order[k]:
            x, mass = values[k, i], weights[i]
            left = mass
            moved = 0.0
            while True:
                step = goal_values[k, goal] - x
                piece = left if j == n_goals - 1 else min(left, left_there)
                moved += step if piece == mass else step * (piece / mass)  # whole atoms without rounding: at rest 0 exactly
                total += piece * step * step
                left -= piece
                left_there -= piece
                if left_there <= 0.0 and j < n_goals - 1:
                    j += 1
                    goal = goal_order[k, j]
                    left_there = goal_weights[goal]
                if left <= 0.0:
                    break
            shift[k, i] = moved
    return total


@compiled()
def resort(values, order):  # pragma: no cover - compiled
    """Sort each line of ``values`` (line, atom) from an ``order`` (line, atom) of before, in place; say whether it was near.

    Atoms at one place stay in the order of their names, as in a stable sort. Insertion takes one exchange a pair of atoms that
    passed one another; where these are more than 16 an atom the rest is left to a sort that does not care.
    """
    n_atoms = values.shape[1]
    for k in range(len(values)):
        row, names = values[k], order[k]
        exchanges = 16 * n_atoms
        for j in range(1, n_atoms):
            name = names[j]
            value = row[name]
            i = j - 1
            while i >= 0 and (row[names[i]] > value or (row[names[i]] == value and names[i] > name)):
                names[i + 1] = names[i]
                i -= 1
            names[i + 1] = name
            exchanges -= j - 1 - i
            if exchanges < 0:
                return False
    return True


@compiled()
def potentials(positions, order, weights, goal_weights, gradient):  # pragma: no cover - compiled
    """Transport between masses on the same nodes, lines presorted: add potentials of ``weights`` to ``gradient`` (node,).

    ``positions`` (line, node) are sorted, ``order`` (line, node) names the nodes. Returns the sums over lines of the costs, of
    the goals' side of the dual pairs, and of the largest potentials. The staircase of merged quantiles is a basis of the
    linear program, and complementary slackness along it gives the pair of potentials; for a convex cost on a line it is
    feasible. Goals without mass bind nothing and are skipped, which leaves the potential large where there is no mass at all.
    """
    total, value, top = 0.0, 0.0, 0.0
    n_nodes = len(weights)
    own = np.empty(n_nodes)
    for k in range(len(positions)):
        last = n_nodes - 1
        while goal_weights[order[k, last]] == 0.0:
            last -= 1
        j = 0
        while goal_weights[order[k, j]] == 0.0:
            j += 1
        i = 0
        left, left_there = weights[order[k, 0]], goal_weights[order[k, j]]
        step = positions[k, 0] - positions[k, j]
        there = 0.0  # the two potentials: own + there = step^2 on the staircase
        own[0] = step * step
        while i < n_nodes - 1 or j < last:
            piece = min(left, left_there)
            total += piece * step * step
            left -= piece
            left_there -= piece
            if j == last or (i < n_nodes - 1 and left <= left_there):
                i += 1
                left = weights[order[k, i]]
                step = positions[k, i] - positions[k, j]
                own[i] = step * step - there
            else:
                value += there * goal_weights[order[k, j]]
                j += 1
                while goal_weights[order[k, j]] == 0.0:
                    j += 1
                left_there = goal_weights[order[k, j]]
                step = positions[k, i] - positions[k, j]
                there = step * step - own[i]
        total += left * step * step
        value += there * goal_weights[order[k, j]]
        top += own.max()
        for i in range(n_nodes):
            gradient[order[k, i]] += own[i]
    return total, value, top
