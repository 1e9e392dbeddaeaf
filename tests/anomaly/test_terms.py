"""What may be strange about a window: distances, tails, and terms that one window alone brings out."""

import numpy as np
import pytest
import torch

from fulgurite.anomaly.network import WindowNetwork
from fulgurite.anomaly.terms import WEIGHTS, Reading, Terms, fold_tail, nearest, part_names, unfold_tail

ROWS = 32


def made(columns=1, conditions=2, references=50):
    """Terms that were shown sine waves, and the reading of those waves."""
    torch.manual_seed(0)
    terms = Terms(WindowNetwork(columns, ROWS, conditions), references).eval()
    waves = reading(waves_of(references, columns), conditions)
    terms.learn(waves)
    return terms, waves


def waves_of(count, columns=1):
    phase = torch.linspace(0, 2 * torch.pi, count)[:, None, None]
    return torch.sin(phase + torch.arange(ROWS) / ROWS * 2 * torch.pi).expand(count, columns, ROWS).contiguous()


def reading(windows, conditions=2):
    nothing = torch.zeros(len(windows), windows.shape[1])
    calendar, codes = torch.zeros(len(windows), conditions), torch.zeros(len(windows), 0, dtype=torch.long)
    return Reading(windows, nothing, nothing, nothing, calendar, codes)


def values_of(terms, read):
    found, _ = terms.terms(*vars(read).values())
    return dict(zip(part_names(("value",)), found[0].tolist(), strict=True))


def test_the_nearest_distance_is_that_of_a_search_one_by_one():
    generator = torch.Generator().manual_seed(0)
    points, references = torch.randn(2, 30, 5, generator=generator), torch.randn(2, 40, 5, generator=generator)

    found = nearest(points, references)

    torch.testing.assert_close(found, torch.cdist(points, references).amin(dim=2), atol=1e-5, rtol=1e-4)


def test_a_known_window_is_at_no_distance():
    terms, waves = made()

    found, _ = terms.terms(*vars(waves).values())

    names = part_names(("value",))
    assert found[:, names.index("value_shape")].max() < 2e-3
    assert found[:, names.index("value_recent")].max() < 2e-3


def test_the_wilder_a_window_is_the_further_it_is():
    """Of shapes, tails count in full: by their logarithms, all windows with a burst were about as far."""
    terms, _ = made()
    burst = [torch.from_numpy(fold_tail(np.full((1, 1, ROWS), size))).float() for size in (10.0, 200.0, 1e30)]

    small, great, beyond = (values_of(terms, reading(each))["value_shape"] for each in burst)

    assert great / small == pytest.approx(200 / 10, rel=0.1) and great < beyond < 400


@pytest.mark.parametrize("wild", [50.0, 1e4, 1e12])
def test_beside_a_wild_value_that_is_usual_the_rest_counts(wild):
    """Squares of the one are not so large that those of the others are lost."""
    terms, _ = made()
    usual, strange = waves_of(50), waves_of(50)[7:8].flip(2) / 2
    for each in (usual, strange):
        each[:, :, 3] = float(fold_tail(np.array(wild)))
    terms.learn(reading(usual))
    same = torch.arange(ROWS) != 3
    exact = float(torch.cdist(strange[0][:, same], usual[:, 0, same]).min()) / ROWS**0.5

    known, found = (values_of(terms, reading(each))["value_shape"] for each in (usual[7:8], strange))

    assert known < 0.06 and found == pytest.approx(exact, abs=0.06) and exact > 0.3


@pytest.mark.parametrize(
    ("change", "rises"),
    [
        (lambda window: window.index_fill_(2, torch.tensor([ROWS - 1]), 9.0), "value_level"),
        (lambda window: window.index_fill_(2, torch.arange(ROWS - 4, ROWS), 0.25), "value_flat"),
        (lambda window: window.flip(2), "value_recent"),
        (lambda window: window * 3, "value_shape"),
        (lambda window: window + 2, "value_shift"),
    ],
    ids=["a spike", "a flat line", "backwards", "three times as high", "moved up"],
)
def test_each_change_raises_the_term_that_is_for_it(change, rises):
    """Over its own scale on the waves themselves, the term that is for the change rises."""
    terms, waves = made()
    usual, _ = terms.terms(*vars(waves).values())
    before = dict(zip(part_names(("value",)), usual.quantile(0.99, dim=0).clamp(min=1e-3).tolist(), strict=True))

    after = values_of(terms, reading(change(waves_of(7)[3:4].clone())))

    assert after[rises] > 1.5 * before[rises]


def test_a_flat_line_of_rows_that_were_filled_in_is_none():
    terms, _ = made()
    flat = reading(torch.full((1, 1, ROWS), 0.25))
    flat.broken = torch.ones(1, 1)

    assert values_of(terms, flat)["value_flat"] == 0


def test_parts_are_weighed_logarithms_of_terms_over_their_scales():
    terms, waves = made()
    usual, _ = terms.terms(*vars(waves).values())
    terms.calibrate(usual)

    parts, _ = terms(*vars(waves).values())

    weights = torch.tensor([*WEIGHTS.values(), 0.5])
    scales = usual.quantile(0.99, dim=0).clamp(min=1e-3)
    torch.testing.assert_close(parts, weights * torch.log1p(usual / scales))


def test_every_column_has_its_own_terms():
    """A spike in the second of two columns raises that column's level, and not the first one's."""
    terms, _ = made(columns=2)
    windows = waves_of(1, columns=2).clone()
    calm, _ = terms.terms(*vars(reading(windows.clone())).values())
    windows[0, 1, -1] = 9.0

    found, _ = terms.terms(*vars(reading(windows)).values())

    names = part_names(("value", "load"))
    assert found[0, names.index("load_level")] > calm[0, names.index("load_level")] + 5
    assert found[0, names.index("value_level")] == calm[0, names.index("value_level")]


def test_tails_are_folded_and_unfolded():
    sizes = np.array([0.0, 1.0, 3.0, 3.5, 50.0, 1e6])

    folded = fold_tail(sizes)

    assert (np.diff(folded) > 0).all() and folded[-1] < 20
    np.testing.assert_allclose(unfold_tail(torch.from_numpy(folded)).numpy(), sizes, rtol=1e-9)
