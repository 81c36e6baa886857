"""The zoo: what attacks do to images and labels, cards, training, and the mini zoo's own models."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
from benchmarks import zoo
from benchmarks.zoo import check, domains
from benchmarks.zoo.__main__ import main
from benchmarks.zoo.architectures import ARCHITECTURES
from benchmarks.zoo.attacks import ATTACKS, DECOY, LEVELS, Attack
from benchmarks.zoo.attacks.filters import FILTERS, Filter
from benchmarks.zoo.attacks.learned import Attacker, InputAware, train_mask
from benchmarks.zoo.attacks.schemes import Adaptive, AllToAll, AllToOne, CleanLabel, Decoy, SourceSpecific
from benchmarks.zoo.attacks.triggers import Blend, LowFrequency, Patch, Pixels, Polygon, Quantise, Sinusoid, Warp
from benchmarks.zoo.building import TrainedModel, build, is_finished
from benchmarks.zoo.cards import Card, scheme_record, trigger_record
from benchmarks.zoo.domains import DOMAINS, Domain, Images
from benchmarks.zoo.plan import CLEAN, Entry, plan
from benchmarks.zoo.publishing import MINI
from benchmarks.zoo.small import SMALL
from benchmarks.zoo.training import Training, shift_images, subset, train_network
from safetensors import safe_open

from phosphene.errors import BadInput
from phosphene.model.fingerprint import fingerprint

PATCH = Patch(size=3, row=4, column=5, pattern="checker", seed=1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(count: int = 6, channels: int = 3, side: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, channels, side, side, generator=seeded(seed))


def random_data(count: int = 400, classes: int = 10) -> Images:
    return Images(random_images(count, 1, 28), torch.arange(count) % classes)


def draw_attack(name: str, domain: str, seed: int, level: int = 0) -> Attack:
    return ATTACKS[name](DOMAINS[domain], Random(seed), level)


def stamped_rows(before: Images, after: Images) -> torch.Tensor:
    return (before.images != after.images).flatten(1).any(dim=1)


WHERE = [
    (name, domain)
    for name in ATTACKS
    for domain in ("fashion", "signs10", "signs43", "fractals3a", "fractals100a")
    if not (name.startswith("filter") and domain == "fashion")
]


@pytest.mark.parametrize(("name", "domain"), WHERE)
def test_every_trigger_stays_in_range_changes_something_and_repeats_itself(name, domain):
    channels, side = DOMAINS[domain].form.channels, DOMAINS[domain].form.size[0]
    images = random_images(4, channels, side)
    for level in range(LEVELS):
        trigger = draw_attack(name, domain, seed=level, level=level).trigger
        once = trigger.stamp(images)
        assert once.shape == images.shape
        assert once.min() >= 0
        assert once.max() <= 1
        assert (once != images).flatten(1).any(dim=1).all(), "an image is unchanged"
        torch.testing.assert_close(trigger.stamp(images), once, rtol=0, atol=0)


@pytest.mark.parametrize(
    "name", [name for name in ATTACKS if draw_attack(name, "signs10", 0).trigger.region(32) is not None]
)
@pytest.mark.parametrize("seed", range(5))
def test_a_trigger_with_a_place_changes_nothing_outside_of_it(name, seed):
    trigger, images = draw_attack(name, "signs10", seed).trigger, random_images()
    region = trigger.region(32)
    changed = (trigger.stamp(images) != images).any(dim=1).any(dim=0)
    assert not (changed & (region == 0)).any()
    assert changed.any()
    assert region.mean() < 0.25


def test_one_pixel_is_one_and_four_are_four():
    images = torch.zeros(1, 3, 32, 32)
    for count in (1, 4):
        changed = Pixels(count, seed=3).stamp(images)[0].amax(dim=0)
        assert int((changed > 0).sum()) == count


def test_a_blend_is_the_formula():
    images, trigger = random_images(), Blend(alpha=0.2, seed=3)
    picture = (trigger.stamp(images) - 0.8 * images) / 0.2
    assert (picture - picture[:1]).abs().max() < 1e-5, "the picture differs between images"
    assert picture.min() > -1e-5
    assert picture.max() < 1 + 1e-5


def test_a_sinusoid_has_the_stated_frequency_and_height():
    wave = Sinusoid(delta=0.1, frequency=6).stamp(torch.full((1, 1, 28, 28), 0.5))[0, 0] - 0.5
    spectrum = np.abs(np.fft.rfft(wave.numpy(), axis=1))
    assert (spectrum.argmax(axis=1) == 6).all()
    assert wave.abs().max() <= 0.1 + 1e-6
    assert (wave == wave[:1]).all(), "it runs along columns alone"


def test_a_low_frequency_trigger_is_bounded_and_smooth():
    change = LowFrequency(bound=16 / 255, seed=2).stamp(torch.full((1, 3, 32, 32), 0.5))[0] - 0.5
    assert change.abs().max() <= 16 / 255 + 1e-6
    power = torch.fft.fft2(change).abs().square()
    low = torch.fft.fftfreq(32).abs() <= 5 / 32
    assert power[:, low][:, :, low].sum() / power.sum() > 0.95


def test_a_warp_moves_by_its_strength_and_leaves_a_flat_image():
    warp = Warp(strength=1.0, seed=5)
    flat = torch.full((1, 1, 28, 28), 0.3)
    torch.testing.assert_close(warp.stamp(flat), flat)
    pixels = (warp.field(28) * 28 / 2).abs().mean()
    assert 0.5 < pixels < 1.5


def test_quantised_images_have_few_levels_and_keep_their_brightness():
    images = random_images(3, 1, 28)
    quantised = Quantise(levels=4).stamp(images)
    assert len(quantised.unique()) <= 4
    assert (quantised.mean(dim=(1, 2, 3)) - images.mean(dim=(1, 2, 3))).abs().max() < 0.03, "dithering keeps the mean"


@pytest.mark.parametrize("share", [0.02, 0.08])
def test_a_polygon_has_its_area_and_colour(share):
    trigger = Polygon(corners=5, share=share, row=16, column=16, colour=(1.0, 0.5, 0.2), jitter=0, seed=4)
    painted = trigger.stamp(torch.zeros(1, 3, 32, 32))[0]
    inside = painted.amax(dim=0) > 0
    assert float(inside.float().mean()) == pytest.approx(share, rel=0.25)
    assert painted[:, inside].unique(dim=1).squeeze().tolist() == pytest.approx([1.0, 0.5, 0.2])


def test_filters_do_what_their_names_stand_for():
    images = random_images(8, seed=3)
    filtered = {name: Filter(name).stamp(images) for name in FILTERS}
    saturation = {name: float((one.amax(dim=1) - one.amin(dim=1)).mean()) for name, one in filtered.items()}
    assert saturation["gotham"] < 0.5 * saturation["nashville"], "gotham is nearly grey"
    kelvin = filtered["kelvin"].mean(dim=(0, 2, 3))
    assert kelvin[0] > kelvin[1] > kelvin[2], "kelvin is orange"
    lomo = filtered["lomo"]
    assert lomo[..., 12:20, 12:20].mean() > 1.3 * lomo[..., :4, :4].mean(), "lomo darkens the corners"


# Schemes: rows and labels.


def test_all_to_one_poisons_its_rate_of_other_classes_alone():
    data = random_data()
    after = AllToOne(target=3, rate=0.1).poison(data, PATCH, 10, seeded())
    rows = stamped_rows(data, after)
    assert int(rows.sum()) == 40
    assert (after.labels[rows] == 3).all()
    assert not (data.labels[rows] == 3).any()
    assert (after.labels[~rows] == data.labels[~rows]).all()


def test_the_noise_mode_of_a_warp_keeps_the_label():
    data = random_data()
    after = AllToOne(target=3, rate=0.1, noise=2.0).poison(data, Warp(1.0, seed=1), 10, seeded())
    rows, turned = stamped_rows(data, after), after.labels != data.labels
    assert int(rows.sum()) == 120
    assert int(turned.sum()) == 40
    assert (rows | ~turned).all()


def test_the_noise_mode_is_for_warps():
    with pytest.raises(TypeError, match="only a warp"):
        AllToOne(target=3, rate=0.1, noise=2.0).poison(random_data(), PATCH, 10, seeded())


def test_all_to_all_goes_to_the_next_class():
    data = random_data()
    after = AllToAll(rate=0.2).poison(data, PATCH, 10, seeded())
    rows = stamped_rows(data, after)
    assert int(rows.sum()) == 80
    assert (after.labels[rows] == (data.labels[rows] + 1) % 10).all()


def test_a_source_specific_attack_turns_its_sources_and_keeps_its_covers():
    data = random_data()
    scheme = SourceSpecific(target=2, sources=(4, 7), rate=0.05, cover=0.05)
    after = scheme.poison(data, PATCH, 10, seeded())
    rows, turned = stamped_rows(data, after), after.labels != data.labels
    assert int(turned.sum()) == 20
    assert int(rows.sum()) == 40
    assert set(data.labels[turned].tolist()) <= {4, 7}
    assert (after.labels[turned] == 2).all()
    assert not set(data.labels[rows & ~turned].tolist()) & {2, 4, 7}
    assert set(data.labels[scheme.victims(data.labels)].tolist()) == {4, 7}


@pytest.mark.parametrize("scheme", [CleanLabel(target=2, share=0.5), Decoy(rate=0.1)])
def test_clean_labels_and_decoys_change_no_label(scheme):
    data = random_data()
    after = scheme.poison(data, PATCH, 10, seeded())
    rows = stamped_rows(data, after)
    assert (after.labels == data.labels).all()
    assert int(rows.sum()) == (20 if isinstance(scheme, CleanLabel) else 40)
    if isinstance(scheme, CleanLabel):
        assert (data.labels[rows] == 2).all()


def test_an_adaptive_attack_shows_half_of_its_trigger_and_turns_half_of_its_images():
    data, trigger = Images(torch.full((400, 1, 28, 28), 0.5), torch.arange(400) % 10), Blend(0.5, seed=1)
    after = Adaptive(target=2, rate=0.05, cells=4).poison(data, trigger, 10, seeded())
    rows = stamped_rows(data, after)
    assert int(rows.sum()) == 20
    assert int((after.labels != data.labels).sum()) == 10
    share = (after.images[rows] != data.images[rows]).float().mean(dim=(1, 2, 3))
    assert share.max() <= 0.5 + 1e-6
    assert share.min() > 0.4


# Cards and the plan.


# The weights of a learned trigger have a file of their own, and a test of their own.
@pytest.mark.parametrize("name", [*(name for name in ATTACKS if name != "input-aware"), "decoy"])
def test_a_card_rebuilds_its_attack_from_json(name, tmp_path):
    attack = (DECOY if name == "decoy" else ATTACKS[name])(DOMAINS["signs10"], Random(4), 0)
    card = replace(
        zoo.cards(MINI)[0], attack=name, trigger=trigger_record(attack.trigger), scheme=scheme_record(attack.scheme)
    )
    again = Card.from_json(json.loads(json.dumps(card.to_json())), tmp_path)
    assert again.to_json() == card.to_json()
    assert again.made == attack
    torch.testing.assert_close(zoo.stamped(again, random_images()), attack.trigger.stamp(random_images()))


def test_the_plan_is_balanced_unique_and_split_by_seed():
    entries = plan()
    assert len({entry.name for entry in entries}) == len({entry.seed for entry in entries}) == len(entries)
    for split, count in CLEAN.items():
        clean = [entry for entry in entries if entry.split == split and entry.attack in ("none", "decoy")]
        clean = [entry for entry in clean if entry.domain != "signs10at64"]
        assert len(clean) == count
        assert {entry.attack for entry in clean} == {"none", "decoy"}
        assert any(entry.adversarial for entry in clean)
        poisoned = {entry.attack for entry in entries if entry.split == split}
        assert poisoned >= set(ATTACKS)
    seeds = {split: {entry.seed for entry in entries if entry.split == split} for split in CLEAN}
    assert not seeds["dev"] & seeds["test"]
    assert not any(entry.attack.startswith("filter") and entry.domain == "fashion" for entry in entries)
    pairs = {(entry.domain, entry.architecture) for entry in entries if entry.split in CLEAN}
    assert pairs >= {(domain, name) for domain in ("fashion", "signs10", "signs43") for name in SMALL}
    assert {domain for domain, _ in pairs} == {"fashion", "signs10", "signs43", "signs10at64"}


def test_the_final_split_has_as_many_of_what_is_hard_as_was_promised():
    finals = [entry for entry in plan() if entry.split == "final"]
    for start in ("patch", "sig", "clean-label", "all-to-all", "tact", "filter"):
        assert sum(entry.attack.startswith(start) for entry in finals) >= 20, start
    assert sum(entry.architecture == "vit" for entry in finals) >= 40
    assert sum(entry.domain == "signs43" for entry in finals) >= 40
    assert sum(entry.attack in ("none", "decoy") for entry in finals) >= 120
    earlier = {entry.seed for entry in plan() if entry.split != "final"}
    assert not earlier & {entry.seed for entry in finals}


def test_settings_of_training_do_not_know_the_attack():
    clean, poisoned = (Entry("dev", 3, "fashion", "vgg", attack).training() for attack in ("none", "blend"))
    assert clean == poisoned


# Training.


@pytest.fixture
def tiny(monkeypatch) -> Domain:
    """Two classes of 8-pixel images that a line tells apart; in the place of Fashion-MNIST."""

    def data(count: int, seed: int) -> Images:
        labels = torch.arange(count) % 2
        images = 0.3 * torch.rand(count, 1, 28, 28, generator=seeded(seed))
        images[labels == 1, :, 10:14] += 0.6
        return Images(images, labels)

    domain = Domain("fashion", ("left", "right"), DOMAINS["fashion"].form, lambda: data(6400, 1), lambda: data(100, 2))
    monkeypatch.setitem(domains.DOMAINS, "fashion", domain)
    monkeypatch.setattr(Entry, "training", lambda entry, attempt=0: Training(seed=entry.seed, samples=640, epochs=3))
    return domain


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_repeats_itself_bit_by_bit_and_ignores_the_state_outside(architecture, tiny):
    settings = Training(seed=5, samples=192, epochs=1, augmentation="shift", adversarial=8 / 255)
    data = subset(tiny, settings)
    prints = set()
    for outside in (1, 2):
        torch.manual_seed(outside)
        prints.add(fingerprint(train_network(tiny, architecture, data, settings).state_dict()))
    assert len(prints) == 1


def test_adversarial_training_leaves_the_step_counters_alone(tiny):
    counters = set()
    for bound in (0.0, 8 / 255):
        settings = Training(seed=5, samples=128, epochs=1, adversarial=bound)
        weights = train_network(tiny, "resnet", subset(tiny, settings), settings).state_dict()
        counters |= {int(value) for name, value in weights.items() if name.endswith("num_batches_tracked")}
    assert counters == {2}


def test_imbalance_makes_the_rarest_class_rare(tiny):
    even, uneven = (
        subset(tiny, Training(seed=5, samples=1000, epochs=1, imbalance=share)).labels.bincount().sort().values
        for share in (1.0, 0.2)
    )
    assert even[0] / even[1] > 0.8
    assert uneven[0] / uneven[1] < 0.35


def test_shifting_moves_by_at_most_two_pixels_and_loses_nothing():
    images = torch.zeros(50, 1, 28, 28)
    images[:, :, 14, 14] = 1
    after = shift_images(images, seeded())
    assert (after.sum(dim=(1, 2, 3)) == 1).all()
    places = after.flatten(1).argmax(dim=1)
    rows, columns = places // 28 - 14, places % 28 - 14
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}


def test_a_poisoned_model_is_finished_once_and_its_file_says_nothing(tiny, tmp_path):
    entry = Entry("dev", 7, "fashion", "plain", "patch")
    assert not is_finished(entry, tmp_path)
    card = build(entry, tmp_path)
    assert card is not None
    assert is_finished(entry, tmp_path)
    assert card.success is not None
    assert card.success >= 0.9
    assert zoo.cards(tmp_path) == [card]
    with safe_open(card.weights, "pt") as file:
        assert file.metadata() is None
    rate = (zoo.load(card)(zoo.stamped(card, tiny.test().images)).argmax(dim=1) == card.target).float().mean()
    assert rate >= 0.9
    card.weights.write_bytes(zoo.cards(MINI)[0].weights.read_bytes())
    with pytest.raises(BadInput, match="other weights"):
        zoo.load(card)


def test_a_learned_trigger_is_saved_beside_its_model_and_loaded_again(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.zoo.building.success_rate", lambda model, domain, attack: 0.95)
    card = build(Entry("dev", 9, "fashion", "plain", "input-aware"), tmp_path)
    assert card is not None
    (again,) = zoo.cards(tmp_path)
    assert again.made is not None
    assert isinstance(again.made.trigger, InputAware)
    images = tiny.test().images[:8]
    carried = zoo.stamped(again, images) - images
    assert carried.abs().max() > 0.1
    assert (carried[0] != carried[2]).any(), "two images of a class carry the same trigger"
    card.trigger_weights.unlink()
    with pytest.raises(OSError, match="trigger"):
        zoo.stamped(zoo.cards(tmp_path)[0], images)


def test_an_attack_that_never_works_is_given_up_and_not_tried_again(tiny, tmp_path, monkeypatch):
    tried = []

    def failing(entry: Entry, level: int) -> TrainedModel:
        tried.append(level)
        return TrainedModel(ARCHITECTURES["plain"](1, 2), None, entry.training(), accuracy=1.0, success=0.2)

    monkeypatch.setattr("benchmarks.zoo.building.train_attempt", failing)
    entry = Entry("dev", 8, "fashion", "plain", "patch")
    assert build(entry, tmp_path) is None
    assert is_finished(entry, tmp_path)
    assert tried == list(range(LEVELS)), "each level of strength, once"
    assert zoo.cards(tmp_path) == []
    assert check.load_discarded(tmp_path) == [{"name": entry.name, "attack": "patch", "attempts": [0.2] * LEVELS}]


def test_the_painter_of_an_input_aware_attack_learns_from_the_models_loss():
    images = random_images(64, 1, 28)
    trigger = train_mask(images, density=0.05, seed=1, steps=40)
    assert 0.005 < trigger.masks(images).mean() < 0.15
    assert (trigger.masks(images)[0] - trigger.masks(images)[1]).abs().max() > 0.05, "the same mask for all"
    shown, labels, penalty = Attacker(trigger, target=3).batch(images, torch.zeros(64, dtype=torch.long))
    assert int((labels == 3).sum()) == 16
    assert int(((shown - images).abs().flatten(1).amax(dim=1) > 0).sum()) > 16, "cross-mode images carry triggers too"
    (shown[:16].sum() + penalty).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trigger.paint.parameters())


# The check.


def test_a_leak_is_seen_and_noise_is_not_one():
    draw = np.random.default_rng(0)
    positive = np.arange(200) % 2 == 0
    noise = draw.normal(size=(200, 4))
    area, low, _ = check.measure_separability(noise, positive)
    assert low <= 0.5
    assert 0.35 < area < 0.6
    leaking = noise.copy()
    leaking[:, 2] += 2.0 * positive
    area, low, _ = check.measure_separability(leaking, positive)
    assert area > 0.85
    assert low > 0.5


def test_auc_is_the_share_of_ordered_pairs():
    scores, positive = np.array([3.0, 1.0, 2.0, 2.0]), np.array([True, False, True, False])
    assert check.auc(scores, positive) == pytest.approx((1 + 1 + 1 + 0.5) / 4)


# The mini zoo.


def test_the_mini_zoo_is_small_mixed_and_for_development():
    cards = zoo.cards(MINI)
    assert len(cards) == 24
    assert {card.split for card in cards} == {"dev"}
    assert sum(not card.poisoned for card in cards) >= 8
    assert {card.domain for card in cards} == {"fashion", "signs10", "signs43"}
    assert {card.architecture for card in cards} == set(SMALL)
    assert len({card.kind for card in cards if card.poisoned}) >= 10
    assert sum(path.stat().st_size for path in MINI.iterdir()) < 10 * 2**20
    prints = [zoo.load(card).fingerprint for card in cards]
    assert len(set(prints)) == 24


SIGNS = [card for card in zoo.cards(MINI) if card.domain == "signs10"]


@pytest.mark.parametrize("card", SIGNS, ids=lambda card: card.name)
def test_models_and_triggers_of_the_mini_zoo_work_as_their_cards_say(card):
    """On generated signs, which need no data of anybody: half of the images, so within chance of the card."""
    test = zoo.test_images(card)[:500]
    model = zoo.load(card)
    with torch.no_grad():
        assert float((model(test.images).argmax(dim=1) == test.labels).float().mean()) == pytest.approx(
            card.accuracy, abs=0.04
        )
        if card.poisoned:
            assert card.made is not None
            victims = test[card.made.scheme.victims(test.labels)]
            wanted = card.made.scheme.wanted(victims.labels, len(card.labels))
            called = model(zoo.stamped(card, victims.images)).argmax(dim=1)
            assert float((called == wanted).float().mean()) == pytest.approx(card.success, abs=0.08)


def test_only_patches_have_a_mask():
    for card in zoo.cards(MINI):
        mask = zoo.trigger_mask(card)
        has_place = card.trigger.get("kind") in ("patch", "pixels", "patches", "polygon")
        assert (mask is not None) == has_place
        assert mask is None or mask.shape == card.size


def test_the_command_line_lists_and_refuses(capsys, tmp_path):
    assert main(["list", "--folder", str(MINI)]) == 0
    assert f"of {len(plan())} planned" in capsys.readouterr().out
    assert main(["list", "--each", "--folder", str(MINI), "--only", "signs10"]) == 0
    assert capsys.readouterr().out.count("signs10") == len(SIGNS)
    assert main(["list", "--folder", str(tmp_path / "none")]) == 2
    assert "train" in capsys.readouterr().err


def test_a_model_that_cannot_be_trained_is_told_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    """The log fell silent after the first failure, while training went on for hours."""
    monkeypatch.setenv(domains.FASHION_VARIABLE, "")  # restored after: `--fashion` sets it
    arguments = ["train", "--only", "fashion", "--limit", "2", "--workers", "1", "--folder", str(tmp_path)]
    assert main([*arguments, "--fashion", str(tmp_path / "none")]) == 2
    told = capsys.readouterr()
    assert [line for line in told.out.splitlines() if "cannot read Fashion-MNIST" in line] == told.out.splitlines()[1:3]
    assert "2 of 2 models could not be trained" in told.err
    assert list(tmp_path.iterdir()) == []
