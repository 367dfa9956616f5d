"""Distillation: folding and rescaling are exact, training learns and continues, the shipped file fits its card."""

import hashlib
import re

import numpy as np
import pytest
from conftest import ROOT
from scipy.signal import correlate2d

from stlib import images
from stlib.network import build_slim, build_vgg19, feature_extractor, load_vgg19, preprocess
from stlib.weights import read_slim, train_slim

WIDTHS = (8, 12, 16, 24, 32)  # small, and all different, so that no axis can be taken for another


@pytest.fixture(scope="module")
def pictures():
    """A few squares cut from the bundled pictures."""
    files = sorted((ROOT / "images").glob("*/*.jpg"))
    photos = [images.to_uint8(images.load(path, 300)) for path in files]
    return np.stack([photo[y : y + 144, x : x + 144] for photo in photos for y in (0, 20) for x in (0, 90)])


@pytest.fixture(scope="module")
def teacher():
    return train_slim.load_teacher("slim")


@pytest.fixture(scope="module")
def trained(teacher, pictures):
    """A small student after 60 steps, with the errors on one batch before and after."""
    training = train_slim.Distillation(teacher, pictures, WIDTHS, steps=60)
    batch = train_slim.batch_at(pictures, 10**6)  # no step of the training
    before = training.errors(batch, training=True)
    for _ in range(60):
        training.train_step()
    return training, before, training.errors(batch, training=True)


def test_a_short_run_lowers_the_errors(trained):
    _, before, after = trained
    assert list(after) == [(layer, layer) for layer in train_slim.LAST]
    assert all(after[pair] < before[pair] for pair in before)
    assert np.mean([*before.values()]) / np.mean([*after.values()]) > 1.25  # measured: 1.38


def test_folding_is_exact(trained, pictures):
    student, batch = trained[0].student, pictures[:2] / np.float32(255)
    arrays = train_slim.fold(student)
    folded = feature_extractor(build_slim(arrays), train_slim.LAST)(batch)
    for layer, F in student(preprocess(batch), training=False).items():
        assert F.numpy().std() > 0
        np.testing.assert_allclose(folded[layer], F, rtol=1e-4, atol=1e-4 * F.numpy().max())  # measured: 3e-6


@pytest.mark.parametrize("source", ["student", "slim"])
def test_rescaling_changes_the_function_by_the_means_only(source, trained, pictures):
    arrays, batch = train_slim.fold(trained[0].student) if source == "student" else read_slim(), pictures[::6] / 255
    rescaled, means = train_slim.rescale(arrays, np.float32(batch))
    layers = list(arrays)
    F = feature_extractor(build_slim(arrays), layers)(np.float32(batch))
    R = feature_extractor(build_slim(rescaled), layers)(np.float32(batch))
    for layer in layers:
        scaled = F[layer] / means[layer]
        np.testing.assert_allclose(R[layer], scaled, rtol=1e-3, atol=1e-4 * np.max(scaled))  # measured: 8e-5 of the top
        mean = R[layer].numpy().mean(axis=(0, 1, 2))
        np.testing.assert_allclose(mean[mean > 0], 1, rtol=1e-3)
        assert source == "student" or (mean > 0).all(), "slim has no dead filter"


def test_rescaling_keeps_a_dead_filter():
    arrays = {layer: [kernel.copy(), bias.copy()] for layer, (kernel, bias) in read_slim().items()}
    arrays["block1_conv1"][1][3] = -1e6
    rescaled, means = train_slim.rescale(arrays, np.full((1, 32, 32, 3), 0.5, np.float32))
    assert means["block1_conv1"][3] == 1
    assert all(np.isfinite(values).all() for pair in rescaled.values() for values in pair)


def test_a_checkpoint_continues(teacher, pictures, tmp_path):
    whole, first, second = (train_slim.Distillation(teacher, pictures, WIDTHS, steps=6, seed=1) for _ in range(3))
    errors = [whole.train_step() for _ in range(6)]
    for _ in range(3):
        first.train_step()
    first.save(tmp_path / "c.npz")
    second.restore(tmp_path / "c.npz")
    for expected in errors[3:]:
        assert second.train_step() == pytest.approx(expected, rel=1e-4)
    for a, b in zip(whole.state, second.state):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert errors[3] != pytest.approx(errors[0], rel=1e-4), "otherwise the test would see no difference"


def test_a_checkpoint_of_something_else_is_refused(teacher, pictures, tmp_path):
    training = train_slim.Distillation(teacher, pictures, WIDTHS, steps=6)
    training.save(tmp_path / "c.npz")
    with pytest.raises(ValueError, match="other settings or pictures"):
        train_slim.Distillation(teacher, pictures[1:], WIDTHS, steps=6).restore(tmp_path / "c.npz")
    with pytest.raises(ValueError, match="other settings or pictures"):
        train_slim.Distillation(teacher, pictures, WIDTHS, steps=7).restore(tmp_path / "c.npz")
    (tmp_path / "c.npz").write_bytes(b"PK broken")
    with pytest.raises(ValueError, match="not a checkpoint"):
        training.restore(tmp_path / "c.npz")


def test_batches_are_reproducible_and_jittered(pictures):
    a, b = (train_slim.batch_at(pictures, 5, seed=2) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert a.shape == (16, 128, 128, 3) and a.dtype == np.float32 and 0 <= a.min() <= a.max() <= 1
    assert not np.allclose(a, train_slim.batch_at(pictures, 6, seed=2))
    one = train_slim.batch_at(pictures[:1], 0)
    assert one.mean(axis=(1, 2, 3)).std() > 0.02, "gains and offsets differ between the crops of one picture"


def test_shipped_file_fits_its_card():
    folder = ROOT / "stlib/weights"
    path, card = folder / "vgg19_slim.npz", " ".join((folder / "MODEL_CARD.md").read_text().split())
    assert f"SHA-256 `{hashlib.sha256(path.read_bytes()).hexdigest()}`" in card
    size = path.stat().st_size
    assert f"{size:,} bytes" in card and size <= 2_000_000
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    assert {(k.rsplit("/")[-1], v.dtype.name) for k, v in arrays.items()} == {
        ("kernel", "float16"),
        ("bias", "float32"),
    }
    assert f"{sum(array.size for array in arrays.values()):,} weights" in card
    widths = [len(arrays[f"block{block}_conv1/bias"]) for block in range(1, 6)]
    assert ", ".join(map(str, widths)) in card and tuple(widths) == train_slim.WIDTHS


@pytest.fixture(scope="module")
def darknet(tmp_path_factory):
    """A Tiny Darknet with random weights."""
    rng, arrays, channels = np.random.default_rng(0), {}, 3
    widths = (16, 32, 16, 128, 16, 128, 32, 256, 32, 256, 64, 512, 64, 512)
    for k, width in enumerate(widths, start=1):
        side = 1 if k in (3, 5, 7, 9, 11, 13) else 3
        arrays[f"conv{k}/kernel"] = rng.normal(size=(side, side, channels, width), scale=0.2).astype(np.float32)
        for name in ("gamma", "beta", "mean", "variance"):
            arrays[f"conv{k}/{name}"] = rng.uniform(0.5, 1.5, width).astype(np.float32)
        channels = width
    path = tmp_path_factory.mktemp("darknet") / "tiny.npz"
    np.savez(path, **arrays)
    return path, arrays


def test_darknet_teacher(darknet):
    path, arrays = darknet
    image = np.random.default_rng(1).uniform(size=(1, 32, 48, 3)).astype(np.float32)
    targets = train_slim.load_teacher(str(path))(image)
    convolutions = [1, 2, 4, 6, 8, 10, 12, 14]
    assert [pair[1] for pair in targets] == [f"conv{k}" for k in convolutions]
    student = train_slim.build_student()(image)
    for (layer, _), F in targets.items():
        assert F.shape[1:3] == student[layer].shape[1:3], "the same stride"
    kernel, gamma, beta, mean, variance = (
        arrays[f"conv1/{k}"][..., 5] for k in ("kernel", "gamma", "beta", "mean", "variance")
    )
    x = sum(correlate2d(image[0, ..., c], kernel[..., c], mode="same") for c in range(3))
    x = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(targets["block1_conv2", "conv1"][0, ..., 5], np.maximum(x, 0.1 * x), atol=1e-4)


def test_vgg19_file_as_teacher(tmp_path):
    build_vgg19().save_weights(tmp_path / "vgg.weights.h5")
    targets = train_slim.load_teacher(str(tmp_path / "vgg.weights.h5"))(np.zeros((1, 32, 32, 3), np.float32))
    assert {layer: F.shape[-1] for (layer, _), F in targets.items()} == dict(
        zip(train_slim.LAST, (64, 128, 256, 512, 512))
    )


@pytest.fixture
def folder(pictures, tmp_path):
    """A folder of 16 pictures of several sizes in folders, one of them broken, and something else."""
    (tmp_path / "in/deep").mkdir(parents=True)
    for k, picture in enumerate(pictures[:16]):
        place = tmp_path / "in" / ("deep" if k % 2 else "")
        images.save(picture[: 144 - 3 * k] / np.float32(255), place / f"{k}.jpg")
    (tmp_path / "in/broken.jpg").write_bytes(b"no image")
    (tmp_path / "in/notes.txt").write_text("no image")
    return tmp_path / "in"


def test_command_line_interrupted_and_continued(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "made/small.npz"
    arguments = ["--images", str(folder), "--teacher", "slim", "--out", str(out), "--steps", "4"]
    train_step = train_slim.Distillation.train_step

    def interrupt(self):
        if self.step == 2:
            raise KeyboardInterrupt
        return train_step(self)

    monkeypatch.setattr(train_slim.Distillation, "train_step", interrupt)
    assert train_slim.main(arguments) == 130
    assert not out.exists() and "the same command goes on" in capsys.readouterr().out
    steps = []
    monkeypatch.setattr(train_slim.Distillation, "train_step", lambda self: steps.append(self.step) or train_step(self))
    assert train_slim.main([*arguments, "--heldout", str(folder), "--rescale"]) == 0
    captured = capsys.readouterr()
    assert steps == [2, 3]
    assert [path.name for path in out.parent.iterdir()] == ["small.npz"], "the checkpoint is gone with the last step"
    assert "broken.jpg" in captured.err
    assert re.search(r"held out: mean \d\.\d+; block1_conv2 from block1_conv2 \d\.\d+", captured.out)
    network = load_vgg19(out)
    assert [w.shape for w in network.get_weights()] == [w.shape for w in load_vgg19("slim").get_weights()]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--images", "nowhere"], "0 readable pictures, expected at least 16"),
        (["--teacher", "nothing.npz"], "There is no file nothing.npz"),
        (["--teacher", "resnet"], "There is no weights file resnet"),
        (["--out", "out.h5"], "ending in .npz"),
        (["--steps", "0"], "4 steps or more"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = ["--images", str(folder), "--teacher", "slim", "--out", "out.npz"]
    assert train_slim.main(good + arguments) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train_slim: ")]
    assert words in err[-1] and not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("damage", ["truncated", "layer missing", "shape"])
def test_foreign_networks_are_refused(damage, tmp_path):
    path, arrays = tmp_path / "network.npz", read_slim()
    if damage == "layer missing":
        del arrays["block3_conv4"]
    if damage == "shape":
        arrays["block2_conv1"][0] = arrays["block2_conv1"][0][:, :, :3]
    train_slim.write(path, arrays)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="is not a network of the slim layout"):
        load_vgg19(path)
