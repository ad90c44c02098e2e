"""Online learners, token by token."""

import numpy as np


def delta_rule(q, k, v, beta):
    return gated_delta_rule(q, k, v, beta, np.zeros_like(beta))


def gated_delta_rule(q, k, v, beta, log_decay):
    S = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        S = (np.exp(log_decay[t]) * np.ones(k.shape[1], dtype=q.dtype))[:, None] * S
        S = S + beta[t] * np.outer(k[t], v[t] - k[t] @ S)
        rows.append(q[t] @ S)
    return np.array(rows)


TWINS = {"delta_rule": delta_rule, "gated_delta_rule": gated_delta_rule}
