"""The inputs on which our VUS is compared with the published implementation, rebuilt from seeds alone."""

import numpy as np

# rows, anomalies, widest tolerance, decimals of the scores (None: no ties), seed
RANKINGS = [
    (40, 2, 5, None, 0),
    (300, 3, 0, None, 1),
    (300, 3, 1, 1, 2),
    (300, 4, 20, None, 3),
    (300, 6, 50, 1, 4),
    (200, 3, 60, None, 5),
    (600, 12, 37, 0, 6),
    (3000, 5, 100, None, 7),
    (3000, 2, 125, 2, 8),
]
# rows, kind, seed
WAVES = [
    (3000, "period 50", 0),
    (900, "period 7", 1),
    (3000, "period 299", 2),
    (3000, "period 350", 3),
    (2000, "noise", 4),
    (2000, "walk", 5),
    (60, "noise", 6),
    (500, "constant", 7),
    (25_000, "period 96", 8),
]


def ranking(rows: int, anomalies: int, window: int, decimals: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels with anomalies of 1 to 19 rows, the last one at the end, and scores that lean towards them."""
    random = np.random.default_rng(seed)
    labels = np.zeros(rows, dtype=int)
    for start in [*random.integers(rows, size=anomalies - 1), rows - 3]:
        labels[start : start + random.integers(1, 20)] = 1
    scores = random.random(rows) + 0.4 * labels * random.random(rows)
    return labels, scores if decimals is None else np.round(scores, decimals)


def wave(rows: int, kind: str, seed: int) -> np.ndarray:
    """A noisy sine of the period named, noise alone, a random walk, or a constant."""
    noise = np.random.default_rng(seed).normal(size=rows)
    if kind.startswith("period"):
        return np.sin(2 * np.pi * np.arange(rows) / int(kind.split()[1])) + 0.2 * noise
    return {"noise": noise, "walk": np.cumsum(noise), "constant": np.ones(rows)}[kind]
