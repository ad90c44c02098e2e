"""How many replicas a claim of one false alarm in a thousand needs: significantdigits' answers beside Student's."""

import numpy as np
import significantdigits
from scipy import integrate, stats

from ttr_numerics.tolerance import FALSE_ALARM, REPLICAS, quantile

CONFIDENCE = 0.95


def confident_factor(replicas: int, alarm: float) -> float:
    """The multiple of a sample's spread that significantdigits calls insignificant with probability 1 - `alarm`.

    Reference: Sohier et al., ACM Trans. Math. Softw. 47 (2021) 1, theorem 2 (its method for Gaussian errors).
    """
    sample = np.linspace(-1.0, 1.0, replicas)
    digits = significantdigits.significant_digits(
        sample, reference=np.zeros(()), error="absolute", method="CNH", probability=1 - alarm, confidence=CONFIDENCE
    )
    return float(2.0**-digits / np.std(sample))


def mean_alarm(factor: float, replicas: int) -> float:
    """P(|e| > factor · √(Σe_r²/R)) of Gaussian errors, over all spreads that R replicas may show."""

    def alarm_at(chance: float) -> float:
        return 2 * float(stats.norm.sf(factor * np.sqrt(stats.chi2.ppf(chance, replicas) / replicas)))

    return integrate.quad(alarm_at, 0, 1, limit=200)[0]


def test_without_a_law_of_the_errors_three_thousand_replicas_would_be_needed() -> None:
    # The largest of n samples bounds all but a part 1 - p of a distribution with confidence 1 - pⁿ: Wilks, 1941.
    needed = significantdigits.minimum_number_of_trials(1 - FALSE_ALARM, CONFIDENCE)
    assert (1 - FALSE_ALARM) ** needed <= 1 - CONFIDENCE < (1 - FALSE_ALARM) ** (needed - 1)
    assert needed > 100 * REPLICAS


def test_students_factor_keeps_the_false_alarm_however_few_the_replicas() -> None:
    for replicas in (4, 8, REPLICAS):
        alarm = mean_alarm(quantile(1, replicas), replicas)
        assert abs(alarm / FALSE_ALARM - 1) <= np.sqrt(np.finfo(float).eps) * 100, replicas  # quad's own accuracy


def test_a_gaussian_quantile_of_the_spread_would_not_keep_it() -> None:
    plain = float(stats.norm.isf(FALSE_ALARM / 2))
    assert mean_alarm(plain, REPLICAS) > 2 * FALSE_ALARM


def test_the_factor_with_a_confidence_of_its_own_is_wider_than_students_and_comes_down_to_it() -> None:
    ratio = [confident_factor(n, FALSE_ALARM) / quantile(1, n) for n in (REPLICAS, 64, 1024)]
    assert ratio == sorted(ratio, reverse=True)
    assert 1 < ratio[-1] < ratio[0] < 2
