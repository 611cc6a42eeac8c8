from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.data.every import make_samples

from limbeck.data.dataset import Data
from limbeck.data.draws import mix
from limbeck.data.mixup import Mixup, Partners
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Views
from limbeck.errors import DataError
from limbeck.objectives import CrossEntropy
from limbeck.run.augment import views_of
from limbeck.types import Knowledge, Outputs

ONES = torch.ones(400, dtype=torch.long)


def mixing(samples: Samples, rows: torch.Tensor, alpha: float = 1.0, before: tuple[Flip, ...] = ()) -> Views:
    return Views([*before, Mixup(alpha)], partners=Partners.among(rows, samples.keys, samples.labels))


def test_a_mixed_picture_is_the_mixture_of_two_views() -> None:
    samples, rows = make_samples(60, 3, 8, 8), torch.arange(60)
    views = mixing(samples, rows, before=(Flip(),))
    batch = samples.batch(rows, view=ONES[:60] * 3, views=views)
    alone = samples.batch(rows, view=ONES[:60] * 3, views=Views([Flip()])).inputs
    for row in range(60):
        share, partner = float(batch.share[row]), int(batch.partner[row])
        slow = share * alone[row].double() + (1 - share) * alone[partner].double()
        torch.testing.assert_close(batch.inputs[row].double(), slow, atol=1e-6, rtol=0)
    assert torch.equal(batch.partner_labels, samples.labels[batch.partner])


def test_partners_are_never_validation_or_test_samples() -> None:
    data = Data.open("digits", unlabelled=None)
    views = views_of([Mixup()], data, seed=0, count="fresh")
    rows = torch.arange(len(data.pool))
    train = set(data.train.tolist())
    for view in range(1, 6):
        batch = data.pool.batch(rows, view=torch.full_like(rows, view), views=views)
        assert set(batch.partner.tolist()) <= train
        assert len(set(batch.partner.tolist())) > 0.5 * len(train)
    assert torch.isin(data.validation, rows).all()  # they were asked for, and got partners from training


def test_view_0_is_untouched_and_its_own_partner() -> None:
    samples, rows = make_samples(30, 1, 8, 8), torch.arange(30)
    batch = samples.batch(rows, view=torch.zeros_like(rows), views=mixing(samples, rows))
    assert torch.equal(batch.inputs, samples.batch(rows).inputs)
    assert torch.equal(batch.partner, rows)
    assert batch.share.eq(1).all()


def test_labelled_samples_are_mixed_with_labelled_ones_only() -> None:
    samples = make_samples(200, 1, 4, 4)
    samples = Samples(samples.inputs, torch.where(torch.arange(200) < 50, samples.labels, -1), samples.ids)
    rows = torch.arange(200)
    batch = samples.batch(rows, view=ONES[:200], views=mixing(samples, rows))
    assert bool((batch.partner[:50] < 50).all())
    assert bool((batch.partner[50:] >= 50).all())


def test_partners_are_nearly_evenly_likely() -> None:
    generator = torch.Generator().manual_seed(3)
    keys = torch.randint(-(2**63), 2**63 - 1, (50,), generator=generator)
    partners = Partners.among(torch.arange(50), keys, torch.zeros(50).long())
    bits = mix(torch.arange(50_000))
    counts = torch.bincount(partners.find(bits, torch.ones(50_000, dtype=torch.bool)), minlength=50)
    assert int(counts.min()) > 350
    assert int(counts.max()) < 2200


def test_adding_samples_changes_the_partners_of_few() -> None:
    few, many = make_samples(1000, 1, 2, 2), make_samples(1050, 1, 2, 2)
    rows = torch.arange(1000)
    before = mixing(few, rows).mix(rows, few.keys, ONES[:1].expand(1000), rows >= 0)
    after = mixing(many, torch.arange(1050)).mix(rows, many.keys[:1000], ONES[:1].expand(1000), rows >= 0)
    assert float((before.partner != after.partner).float().mean()) < 0.2
    assert torch.equal(before.share, after.share)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_are_beta(alpha: float) -> None:
    shares = Mixup(alpha).share(mix(torch.arange(20_000))).double()
    assert float(shares.min()) >= 0
    assert float(shares.max()) <= 1
    expected = np.diff(stats.beta.cdf(np.linspace(0, 1, 21), alpha, alpha)) * 20_000
    counts = np.histogram(shares.numpy(), 20, (0, 1))[0]
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    assert torch.equal(shares + (1 - shares.float()).double(), torch.ones(20_000).double())


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1]), st.floats(0, 1))
@settings(max_examples=40)
def test_cross_entropy_of_mixtures_equals_soft_targets(seed: int, smoothing: float, hidden: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    samples = make_samples(20, 1, 4, 4)
    rows = torch.arange(20)
    visible = torch.where(torch.rand(20, generator=generator) < hidden, -1, samples.labels)
    batch = samples.batch(rows, view=ONES[:20], views=mixing(samples, rows), labels=visible)
    logits = torch.randn(20, 3, generator=generator)
    loss = CrossEntropy(label_smoothing=smoothing)(Outputs(logits), Knowledge(), batch)
    slow, count = 0.0, 0
    for row in range(20):
        mine, theirs, share = int(visible[row]), int(visible[batch.partner[row]]), float(batch.share[row])
        if mine >= 0 and theirs >= 0:
            target = np.full(3, smoothing / 3)
            target[mine] += (1 - smoothing) * share
            target[theirs] += (1 - smoothing) * (1 - share)
            slow -= float((torch.from_numpy(target) * logits[row].double().log_softmax(0)).sum())
            count += 1
    assert float(loss) == pytest.approx(slow / max(count, 1), abs=1e-5)


def test_mistakes_get_a_sentence() -> None:
    with pytest.raises(DataError, match="mixup: alpha must be above 0, but it is 0"):
        Mixup(0)
    samples = make_samples(9, 1, 4, 4)
    partners = Partners.among(torch.arange(9), samples.keys, samples.labels)
    for transforms in ([Mixup(), Flip()], [Mixup(), Mixup()]):
        with pytest.raises(DataError, match=r"mixup must be the last of data\.augment, and only once"):
            Views(transforms, partners=partners)
    with pytest.raises(DataError, match="whom it may mix with"):
        Views([Mixup()])
    with pytest.raises(DataError, match=r"mixup and data\.labels_per_class do not go together"):
        views_of([Mixup()], Data.open("digits"), seed=0, count=3, hidden_by="labels_per_class")
