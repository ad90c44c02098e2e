"""Recall of stored pairs: random keys by spectrum and by mean key, stored keys by treatment and by halves."""

from typing import Any

import numpy as np

from analysis.directed import directed
from analysis.key_covariance.memories import (
    CENTRED,
    DELTA,
    LEAST,
    LINEAR,
    OTHERS,
    POPULATION,
    RIDGE,
    TREATMENT,
    UNIT,
    WHITENED,
    Reading,
    best_ridge,
    identity_gap,
    interval_row,
    readings,
    through_metric_of,
)
from ttr_numerics import tasks
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.measure import (
    condition_number,
    effective_rank,
    mean_key_share,
    participation_ratio,
    relative_squared_error,
    spectrum,
    unit_rows,
)

__all__ = [
    "DESCRIPTION",
    "DRAWN",
    "RANDOM",
    "RANDOM_VALUES",
    "REAL_VALUES",
    "SPECTRA",
    "halves",
    "keys",
    "mean_key",
    "spectra",
]

Row = dict[str, Any]
TRIALS, DRAWS = 20, 8  # of random keys; of those that stand beside stored ones
RANDOM = "isotropic random keys"
REAL_VALUES, RANDOM_VALUES = "captured values", "random values"
SPECTRA = {
    "log-uniform": tasks.log_uniform_spectrum,
    "power law": tasks.power_law_spectrum,
    "two levels": tasks.two_level_spectrum,
}
DRAWN = (UNIT, CENTRED)  # treatments whose spectrum is stored
DESCRIPTION = {
    "mean-key share": mean_key_share,
    "participation ratio": participation_ratio,
    "effective rank": effective_rank,
    "cond(K)": condition_number,
}


def spectra(cell: Row, rng: np.random.Generator) -> list[Row]:
    """N(0, Σ) keys: as they are, and through Σ^(-1/2), known or of as many other keys."""
    shape = (TRIALS, cell["n"], cell["d"])
    eigenvalues = SPECTRA[cell["family"]](cell["d"], cell["cond"])
    K, other = (tasks.gaussian_keys(rng, shape, eigenvalues) for _ in range(2))
    V = tasks.isotropic_unit_keys(rng, shape)
    treated = {
        UNIT: unit_rows(K),
        POPULATION: unit_rows(K / np.sqrt(eigenvalues)),
        OTHERS: through_metric_of(other, K),
    }
    return [row for name, X in treated.items() for row in _recalled({"treatment": name}, X, V)]


def mean_key(cell: Row, rng: np.random.Generator) -> list[Row]:
    """Isotropic keys plus a common one: as they are, centred, and through the metric of other keys of the same law."""
    n = cell["n"]
    K = tasks.unit_keys_with_mean(rng, (TRIALS, 2 * n, cell["d"]), cell["share"])
    K, other = K[:, :n], K[:, n:]
    V = tasks.isotropic_unit_keys(rng, K.shape)
    treated = {UNIT: K, CENTRED: TREATMENT[CENTRED](K), OTHERS: through_metric_of(other, K)}
    return [row for name, X in treated.items() for row in _recalled({"treatment": name}, X, V)]


def keys(cell: Row, rng: np.random.Generator) -> list[Row]:
    """Second moments of stored or isotropic keys under one treatment, and every repetition's recall errors.

    Nothing where the treatment asks for more tokens than there are.
    """
    about, K, captured = _source(cell, rng)
    try:
        K = TREATMENT[cell["treatment"]](K[:, : cell["n"]])
    except LinAlgError:
        return []
    if K.shape[1] < cell["n"]:
        about["kept"] = K.shape[1]
    rows = [about | {"d": K.shape[-1], "metric": name} | interval_row(f(K)) for name, f in DESCRIPTION.items()]
    if cell["treatment"] in DRAWN:
        rows += [about | {"metric": "eigenvalue share"} | row for row in _shares(K)]
    values = {RANDOM_VALUES: tasks.isotropic_unit_keys(rng, K.shape)}
    if captured is not None:
        values[REAL_VALUES] = captured[:, : cell["n"]]
    return rows + [row for name, V in values.items() for row in _repetitions(about | {"values": name}, K, V)]


def _shares(K: np.ndarray) -> list[Row]:
    """Eigenvalue shares at ten places of the spectrum, evenly spaced in logarithms."""
    shares = spectrum(K)
    places = sorted({round(x) for x in np.geomspace(1, shares.shape[-1], 10)})
    return [{"index": place} | interval_row(shares[:, place - 1]) for place in places]


def halves(cell: Row, rng: np.random.Generator) -> list[Row]:
    """The first half of stored keys is written; the second gives the metric, and the queries no one has seen.

    Nothing where there is one token.
    """
    about, K, V = _source(cell, rng)
    assert V is not None, "stored keys have values"
    n = K.shape[1] // 2
    if n == 0:
        return []
    K, other, V, unseen = K[:, :n], K[:, n : 2 * n], V[:, :n], V[:, n : 2 * n]
    treated = {UNIT: (unit_rows(K), unit_rows(other))}
    for name, moment in ((WHITENED, K), (OTHERS, other)):
        try:
            treated[name] = through_metric_of(moment, K), through_metric_of(moment, other)
        except LinAlgError:  # fewer tokens than channels: there is no metric
            continue
    rows = []
    for name, (X, Q) in treated.items():
        for asked, q, W in (("stored", X, V), ("unseen", Q, unseen)):
            found = readings(X, V, q, W) | {RIDGE: best_ridge(X, V, q, W)}
            line = about | {"pairs": n, "treatment": name, "queries": asked}
            rows += [_judged(line | {"layer": layer}, reading, W) for layer, reading in found.items()]
    return rows


def _source(cell: Row, rng: np.random.Generator) -> tuple[Row, np.ndarray, np.ndarray | None]:
    if "keys" not in cell:
        return {"source": RANDOM}, tasks.isotropic_unit_keys(rng, (DRAWS, cell["n"], cell["d"])), None
    found, left_out = directed(cell["keys"])
    return {"source": found.name, **left_out}, found.k.astype(float), found.v.astype(float)


def _judged(line: Row, reading: Reading, W: np.ndarray) -> Row:
    return line | interval_row(relative_squared_error(reading.o, W)) | reading.ends


def _recalled(line: Row, K: np.ndarray, V: np.ndarray) -> list[Row]:
    gap = interval_row(identity_gap(K, V))
    common = line | {"rank": float(np.mean(participation_ratio(K)))}
    common |= {"gap": gap["value"], "gap_error": gap["high"] - gap["value"]}
    found = readings(K, V, K, V)
    return [_judged(common | {"layer": name}, reading, V) for name, reading in found.items()]


def _repetitions(line: Row, K: np.ndarray, V: np.ndarray) -> list[Row]:
    found = readings(K, V, K, V)
    errors = {name: relative_squared_error(found[name].o, V) for name in (LINEAR, DELTA, LEAST)}
    ranks, gaps = participation_ratio(K), identity_gap(K, V)
    line = line | {"metric": "recall error"}
    return [
        line
        | {"repetition": i, "rank": float(ranks[i]), "gap": float(gaps[i])}
        | {name: float(e[i]) for name, e in errors.items()}
        for i in range(len(K))
    ]
