"""Distillation: pruning and rescaling are exact, training learns and continues, the shipped file fits its card."""

import hashlib
import re

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from stlib import images
from stlib.network import VGG19, build_network, build_vgg, feature_extractor, load_network, preprocess
from stlib.training import prune
from stlib.training import slim as train_slim
from stlib.training.__main__ import main
from stlib.weights import read_embedded

WIDTHS = (6, 8, 12, 16, 20)  # small, and all different, so that no axis can be taken for another


@pytest.fixture(scope="module")
def pictures():
    """A few squares cut from the bundled pictures."""
    files = sorted((ROOT / "images").glob("*/*.jpg"))
    photos = [images.to_uint8(images.load(path, 300)) for path in files]
    return np.stack([photo[y : y + 144, x : x + 144] for photo in photos for y in (0, 20) for x in (0, 90)])


def some():
    """The bundled pictures, small, (12, 80, 80, 3)."""
    return np.stack([images.resize(images.load(path), (80, 80)) for path in sorted((ROOT / "images").glob("*/*.jpg"))])


@pytest.fixture(scope="module")
def teacher():
    """A network like slim with few channels."""
    return build_network(prune.prune(read_embedded("slim"), some(), (8, 12, 16, 24, 32))[0])


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Less of everything."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dict(CROP=64, STATISTICS=16, PAINTED=2, PAINTING_STEPS=2).items():
            patch.setattr(train_slim, name, value)
        yield


@pytest.fixture(scope="module")
def trained(teacher, pictures):
    """A small student after 40 steps, with the errors on one batch before and after."""
    training = train_slim.Distillation(teacher, pictures, WIDTHS, steps=60, painted=0)
    batch = train_slim.batch_at(pictures, 10**6)  # no step of the training
    errors = [training.errors(batch, training.targets(batch))]
    for _ in range(40):
        training.train_step()
    return training, [*errors, training.errors(batch, training.targets(batch))]


@pytest.fixture
def eager():
    """For a few steps compiling takes longer than it saves."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_chosen_channels_predict_the_others():
    rng = np.random.default_rng(0)
    three = rng.normal(size=(1000, 3)) * (3, 2, 1)
    T = np.float32(three @ rng.normal(size=(3, 7)) + rng.normal(size=7))  # seven channels that three determine
    chosen = prune.choose(np.cov(T.T), 3)
    R, c = prune.predict(T[:, chosen], T)
    assert len(set(chosen)) == 3
    np.testing.assert_allclose(T[:, chosen] @ R + c, T, atol=0.01)  # measured: 1e-3; the 1e-4 on the diagonal
    assert prune.choose(np.cov(T.T), 9) == list(range(7)), "not more than there are"


def test_nothing_pruned_is_the_same_network(teacher):
    arrays, batch = prune.arrays_of(teacher), some()
    widths = [len(arrays[f"block{block}_conv1"][1]) for block in range(1, 6)]
    same, predictors, factors = prune.prune(arrays, batch, widths)
    T, F = (prune.compute(preprocess(batch), each) for each in (arrays, same))
    for layer, (R, c) in predictors.items():
        top = np.max(T[layer] * factors[layer])
        np.testing.assert_allclose(F[layer] @ np.float32(R) + np.float32(c), T[layer] * factors[layer], atol=0.02 * top)


def test_computing_is_the_network(teacher):
    batch = some()[:3]
    arrays = prune.arrays_of(teacher)
    F, expected = prune.compute(preprocess(batch), arrays), feature_extractor(teacher, list(arrays))(batch)
    for layer in arrays:
        np.testing.assert_allclose(F[layer], expected[layer], rtol=1e-4, atol=1e-4 * np.max(expected[layer]))


def test_the_start_is_the_pruned_network(teacher, pictures):
    training = train_slim.Distillation(teacher, pictures, WIDTHS, steps=8, painted=0)
    sample = np.random.default_rng(0).permutation(pictures)[: train_slim.STATISTICS, 8:-8, 8:-8] / np.float32(255)
    arrays, predictors, factors = prune.prune(prune.arrays_of(teacher), sample, WIDTHS)
    batch = pictures[:3] / np.float32(255)
    F = prune.compute(preprocess(batch), arrays)
    T = prune.compute(preprocess(batch), prune.arrays_of(teacher))
    for layer, error in training.errors(batch, training.targets(batch)).items():
        R, c = predictors[layer]
        difference = train_slim.sparse(F[layer] @ np.float32(R) + np.float32(c) - T[layer] * factors[layer], layer)
        assert float(error) == pytest.approx(np.mean(np.square(difference)), rel=0.01)
    unexplained = training.evaluate(pictures[:8])
    assert unexplained["block1_conv1"] < 0.2 and all(value < 1 for value in unexplained.values())


def test_a_short_training_lowers_the_errors(trained):
    training, (before, after) = trained
    assert list(after) == list(training.teacher) == list(training.student)
    assert np.mean([*after.values()]) < 0.9 * np.mean([*before.values()])


def test_what_is_saved_computes_what_was_trained(trained, pictures):
    training, batch = trained[0], pictures[:2] / np.float32(255)
    F, units = prune.compute(preprocess(batch), training.arrays()), training.units()
    means = {layer: mean for layer, [mean] in training.means.items()}
    for layer, S in prune.compute(preprocess(batch) / train_slim.LEVELS, training.student, means).items():
        np.testing.assert_allclose(F[layer], S * units[layer], rtol=1e-3, atol=1e-4 * np.max(F[layer]))


def test_a_channel_is_saved_in_units_of_the_teacher(trained):
    training, [layer] = trained[0], ["block3_conv1"]
    R = training.predictors[layer][0] / training.units()[layer][:, None]  # from the channels as they are saved
    np.testing.assert_allclose(np.linalg.norm(R / training.factors[layer], axis=1), 1, rtol=1e-4)


def test_a_misleading_picture_is_near_and_worse(trained, pictures):
    training, batch = trained[0], tf.constant(train_slim.batch_at(pictures, 7))
    targets = training.targets(batch)
    with tf.GradientTape() as tape:
        tape.watch(batch)
        loss = tf.add_n([*training.errors(batch, targets).values()])
    noise = np.random.default_rng(0).uniform(-1, 1, batch.shape).astype(np.float32)
    misled = train_slim.mislead(batch, tape.gradient(loss, batch), noise)
    noisy = train_slim.mislead(batch, tf.zeros_like(batch), noise)
    assert np.abs(misled - batch).max() <= 4 / 255 + 1e-6 and 0 <= np.min(misled) <= np.max(misled) <= 1
    plain, worse = (np.mean([*training.errors(each, targets).values()]) for each in (noisy, misled))
    assert worse > 1.02 * plain  # noise alone does less


@pytest.mark.parametrize("source", ["student", "slim"])
def test_rescaling_changes_the_function_by_the_means_only(source, trained, pictures):
    arrays, batch = trained[0].arrays() if source == "student" else read_embedded("slim"), pictures[::6] / 255
    rescaled, means = train_slim.rescale(arrays, np.float32(batch))
    layers = list(arrays)
    F = feature_extractor(build_network(arrays), layers)(np.float32(batch))
    R = feature_extractor(build_network(rescaled), layers)(np.float32(batch))
    for layer in layers:
        scaled = F[layer] / means[layer]
        np.testing.assert_allclose(R[layer], scaled, rtol=1e-3, atol=1e-4 * np.max(scaled))  # measured: 8e-5 of the top
        mean = R[layer].numpy().mean(axis=(0, 1, 2))
        np.testing.assert_allclose(mean[mean > 0], 1, rtol=1e-3)
        assert source == "student" or (mean > 0).all(), "slim has no dead filter"


def test_rescaling_keeps_a_dead_filter():
    arrays = {layer: [kernel.copy(), bias.copy()] for layer, (kernel, bias) in read_embedded("slim").items()}
    arrays["block1_conv1"][1][3] = -1e6
    rescaled, means = train_slim.rescale(arrays, np.full((1, 32, 32, 3), 0.5, np.float32))
    assert means["block1_conv1"][3] == 1
    assert all(np.isfinite(values).all() for pair in rescaled.values() for values in pair)


def test_a_checkpoint_continues(teacher, pictures, tmp_path, eager):
    whole, second = (train_slim.Distillation(teacher, pictures, WIDTHS, 6, seed=1, painted=2) for _ in range(2))
    assert whole.paint_at == 2
    errors = [whole.train_step() for _ in range(3)]
    whole.save(tmp_path / "c.npz")
    errors += [whole.train_step() for _ in range(3)]
    second.restore(tmp_path / "c.npz")
    assert second.painted.numpy().std() > 10, "what the student painted goes along"
    for expected in errors[3:]:
        assert second.train_step() == pytest.approx(expected, rel=1e-3)
    for a, b in zip(whole.weights, second.weights):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-4)
    assert errors[3] != pytest.approx(errors[0], rel=1e-3), "otherwise the test would see no difference"


def test_a_checkpoint_of_something_else_is_refused(teacher, pictures, tmp_path):
    training = train_slim.Distillation(teacher, pictures, WIDTHS, steps=6, painted=0)
    training.save(tmp_path / "c.npz")
    with pytest.raises(ValueError, match="other settings or pictures"):
        train_slim.Distillation(teacher, pictures[1:], WIDTHS, steps=6, painted=0).restore(tmp_path / "c.npz")
    with pytest.raises(ValueError, match="other settings or pictures"):
        train_slim.Distillation(teacher, pictures, WIDTHS, steps=7, painted=0).restore(tmp_path / "c.npz")
    (tmp_path / "c.npz").write_bytes(b"PK broken")
    with pytest.raises(ValueError, match="not a checkpoint"):
        training.restore(tmp_path / "c.npz")


def test_batches_are_reproducible_and_jittered(pictures):
    a, b = (train_slim.batch_at(pictures, 5, seed=2) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert a.shape == (8, 64, 64, 3) and a.dtype == np.float32 and 0 <= a.min() <= a.max() <= 1
    assert not np.allclose(a, train_slim.batch_at(pictures, 6, seed=2))
    one = train_slim.batch_at(pictures[:1], 0)
    assert one.mean(axis=(1, 2, 3)).std() > 0.02, "gains and offsets differ between the crops of one picture"
    with_painted = train_slim.batch_at(pictures, 5, seed=2, painted=np.zeros_like(pictures[:3]))
    np.testing.assert_array_equal(with_painted[:6], a[:6])
    assert with_painted[6:].std(axis=(1, 2, 3)).max() < 1e-6, "the last quarter is from other pictures"


def test_shipped_file_fits_its_card():
    folder = ROOT / "stlib/data"
    path, card = folder / "slim.npz", " ".join((folder / "MODEL_CARD.md").read_text().split())
    assert f"SHA-256 `{hashlib.sha256(path.read_bytes()).hexdigest()}`" in card
    size = path.stat().st_size
    assert f"{size:,} bytes" in card and size <= 2_500_000
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    assert {(k.rsplit("/")[-1], v.dtype.name) for k, v in arrays.items()} == {
        ("kernel", "float16"),
        ("bias", "float32"),
    }
    assert f"{sum(array.size for array in arrays.values()):,} weights" in card
    widths = [len(arrays[f"block{block}_conv1/bias"]) for block in range(1, 6)]
    assert ", ".join(map(str, widths)) in card and tuple(widths) == train_slim.WIDTHS


def test_a_teacher_with_the_layers_of_vgg19():
    arrays = prune.arrays_of(build_vgg(VGG19, (4, 4, 4, 4, 4)))
    assert list(arrays)[-1] == "block5_conv1" and len(arrays) == 13, "the student has the layers of its teacher"


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


def test_command_line_interrupted_and_continued(folder, tmp_path, monkeypatch, capsys, eager):
    out = tmp_path / "made/small.npz"
    arguments = ["--images", str(folder), "--teacher", "slim", "--out", str(out), "--steps", "4"]
    monkeypatch.setattr(train_slim, "WIDTHS", WIDTHS)
    train_step = train_slim.Distillation.train_step

    def interrupt(self):
        if self.step == 2:
            raise KeyboardInterrupt
        return train_step(self)

    monkeypatch.setattr(train_slim.Distillation, "train_step", interrupt)
    assert main(["slim", *arguments]) == 130
    assert not out.exists() and "the same command goes on" in capsys.readouterr().out
    steps = []
    monkeypatch.setattr(train_slim.Distillation, "train_step", lambda self: steps.append(self.step) or train_step(self))
    assert main(["slim", *arguments, "--heldout", str(folder)]) == 0
    captured = capsys.readouterr()
    assert steps == [2, 3]
    assert [path.name for path in out.parent.iterdir()] == ["small.npz"], "the checkpoint is gone with the last step"
    assert "broken.jpg" in captured.err
    assert re.search(r"unexplained, held out: block1_conv1 \d\.\d+; block1_conv2 \d\.\d+", captured.out)
    assert [layer.shape for layer in load_network(out).get_weights()[1::2]] == [
        (WIDTHS[int(layer[5]) - 1],) for layer in prune.arrays_of(load_network("slim"))
    ]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--images", "nowhere"], "0 readable pictures, expected at least 16"),
        (["--teacher", "nothing.npz"], "nothing.npz"),
        (["--teacher", "resnet"], "resnet"),
        (["--out", "out.h5"], "ending in .npz"),
        (["--steps", "0"], "4 steps or more"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = ["--images", str(folder), "--teacher", "slim", "--out", "out.npz"]
    assert main(["slim", *good, *arguments]) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("stlib.training: ")]
    assert words in err[-1] and not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("damage", ["truncated", "layer missing", "shape"])
def test_foreign_networks_are_refused(damage, tmp_path):
    path, arrays = tmp_path / "network.npz", read_embedded("slim")
    if damage == "layer missing":
        del arrays["block3_conv2"]
    if damage == "shape":
        arrays["block2_conv1"][0] = arrays["block2_conv1"][0][:, :, :3]
    train_slim.write(path, arrays)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="is not a network, expected a file"):
        load_network(path)
