"""Training a painter: it learns, weighs its terms as it says, continues from a checkpoint, and refuses bad input."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from stlib import images
from stlib.losses import gram_per_position, relative_error, total_variation_loss
from stlib.network import load_network
from stlib.painter import load_painter, paint
from stlib.settings import CONTENT_LAYERS, STYLE_LAYERS
from stlib.training import painter as train_painter
from stlib.training.__main__ import main
from stlib.training.painter import PainterTraining, batch_at

STYLE = ROOT / "images/style/great_wave.jpg"


@pytest.fixture(scope="module")
def pictures():
    """A few squares cut from the bundled photos."""
    photos = [images.to_uint8(images.load(path, 300)) for path in sorted((ROOT / "images/content").glob("*.jpg"))]
    return np.stack([photo[y : y + 144, x : x + 144] for photo in photos for y in (0, 20) for x in (0, 90)])


@pytest.fixture(scope="module")
def style():
    return images.load(STYLE, 200)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Two blocks instead of six, crops of 64 px instead of 256, and the style to match, so that the tests are quick."""
    monkeypatch.setattr("stlib.painter.DILATIONS", (1, 2))
    monkeypatch.setattr(train_painter, "CROP", 64)
    monkeypatch.setattr(train_painter, "STYLE_SIZES", (128, 64, 32))


def test_batches_are_reproducible_windows(pictures, monkeypatch):
    monkeypatch.setattr(train_painter, "CROP", 256)
    a, b = batch_at(pictures, 5, seed=2), batch_at(pictures, 5, seed=2)
    np.testing.assert_array_equal(a, b)
    assert a.shape == (2, 256, 256, 3) and a.dtype == np.float32 and 0 <= a.min() <= a.max() <= 1
    assert batch_at(pictures, 5, seed=2, crops=1).shape == (1, 256, 256, 3)
    assert not np.allclose(a, batch_at(pictures, 6, seed=2)) and not np.allclose(a, batch_at(pictures, 5, seed=3))
    ramp = np.broadcast_to(np.arange(144, dtype=np.uint8)[:, None], (1, 144, 144, 3))  # each column its number
    widths = [np.ptp(picture) * 255 for step in range(30) for picture in batch_at(ramp, step)]
    assert min(widths) < 133 and max(widths) > 141, "windows are of many sizes"
    slopes = [
        np.sign(picture[128, 138] - picture[128, 128])[0] for step in range(30) for picture in batch_at(ramp, step)
    ]
    assert {-1, 1} <= set(slopes), "some are mirrored"


def test_half_precision_changes_a_gradient_less_than_another_crop(pictures, style):
    batch, other = (tf.constant(pictures[k : k + 1, :64, :64] / np.float32(255)) for k in (0, 9))
    start, gradients = train_painter.build_painter(), []
    for half, crop in ((False, batch), (True, batch), (False, other)):
        network = train_painter.load_teacher("slim", half)
        assert network.compute_dtype == ("bfloat16" if half else "float32")
        training = PainterTraining(style, pictures, network, steps=1, start=start)
        with tf.GradientTape() as tape:
            total = training.losses(crop, tf.zeros((1, 64, 64, 3)), tf.constant((4, 4)))["total"]
        gradient = tape.gradient(total, training.painter.trainable_variables)
        gradients.append(np.concatenate([np.ravel(part) for part in gradient]))
    exact, rounded, elsewhere = gradients

    def angle(a, b):
        return np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))

    assert 0 < angle(exact, rounded) < 0.2 * angle(exact, elsewhere)  # measured: 2.6 and 82 degrees


@pytest.mark.parametrize("name", ["slim", "vgg16"])
def test_the_losses_are_those_of_stylize_for_each_picture(name, pictures, style):
    training = PainterTraining(style, pictures, load_network(name), steps=1, content_weight=0.03, stability=5)
    batch, noise = np.float32(pictures[:2, :64, :64] / 255), np.random.default_rng(0).normal(0, 0.1, (1, 64, 64, 3))
    losses = training.losses(tf.constant(batch), tf.constant(noise, tf.float32), tf.constant((1, 6)))
    painted, features = move(training.painter(batch), 1, 6), training.features
    batch = move(batch, 1, 6)
    content, styles = [], []
    for photo, painting in zip(batch, painted):
        P, F = features(photo[None]), features(painting[None])
        content += [relative_error(F[k], P[k]) for k in CONTENT_LAYERS]
        half, quarter = (tf.image.resize(painting, (side, side), method="area") for side in (32, 16))
        for picture, size in ((painting, 128), (half, 64), (quarter, 32)):
            F, S = features(picture[None]), features(images.resize(style, images.fit(style.shape, size))[None])
            errors = [relative_error(gram_per_position(F[k]), gram_per_position(S[k])) for k in STYLE_LAYERS]
            styles.append(np.average(errors, weights=(2, 1, 1, 2, 2)))
    again = training.painter(tf.clip_by_value(batch[:1] + noise, 0, 1))
    expected = {
        "content": np.mean(content),
        "style": np.mean(styles),
        "total_variation": float(total_variation_loss(painted)),
        "stability": np.mean((painted[:1] - again) ** 2),
        "mesh": np.mean([np.var([picture[y::4, x::4, c].mean() for y in range(4) for x in range(4)])
                         for picture in painted for c in range(3)]),
    }  # fmt: skip
    weights = {"content": 0.03, "style": 1, "total_variation": 2, "stability": 5, "mesh": 500}
    expected["total"] = sum(weights[name] * loss for name, loss in expected.items())
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(expected, rel=1e-4)
    assert losses["stability"] > 1e-6


def move(batch, down, right):
    """What `stylize` shows the network."""
    padded = np.pad(batch, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    return padded[:, down : down + batch.shape[1], right : right + batch.shape[2]]


def test_a_short_run_learns_and_its_file_paints(style, pictures, network, tmp_path, capsys, monkeypatch):
    for k, picture in enumerate(pictures):
        images.save(picture / 255.0, tmp_path / f"photos/{k}.png")
    (tmp_path / "photos/broken.png").write_bytes(b"PNG")
    images.save(style, tmp_path / "style.png")
    out = tmp_path / "new/painter.npz"
    command = ["--style", str(tmp_path / "style.png"), "--images", str(tmp_path / "photos"), "--network", "slim"]
    assert main(["painter", *command, "--out", str(out), "--steps", "24"]) == 0
    printed = capsys.readouterr()
    assert "broken.png cannot be read" in printed.err and "last steps: content" in printed.out
    assert [path.name for path in out.parent.iterdir()] == ["painter.npz"]  # and no checkpoint
    training, learned = PainterTraining(style, pictures, network, steps=1), load_painter(out)
    given = batch_at(pictures, 10**6), np.zeros((1, 64, 64, 3), np.float32), tf.constant((4, 4))  # not moved
    before = training.losses(*given)
    training.painter.set_weights(learned.get_weights())
    after = training.losses(*given)
    assert before["total"] / after["total"] > 1.6  # measured: 2.4
    assert paint(images.load(STYLE, 50), learned).shape == images.load(STYLE, 50).shape
    # It goes on from there, slower: two steps change little. (Compiling takes longer than these steps.)
    monkeypatch.setattr(train_painter, "compiled", lambda function: function)
    assert main(["painter", *command, "--start", str(out), "--out", str(tmp_path / "more.npz"), "--steps", "2"]) == 0
    for before, after in zip(learned.get_weights(), load_painter(tmp_path / "more.npz").get_weights()):
        assert np.abs(after - before).max() < 4 * train_painter.LATER_RATE
    assert not np.array_equal(load_painter(tmp_path / "more.npz").get_weights()[0], learned.get_weights()[0])


def test_a_stopped_run_continues(style, pictures, network, tmp_path, monkeypatch, capsys):
    first, second = (PainterTraining(style, pictures, network, steps=4) for _ in range(2))
    for training in (first, second):
        training._compiled = training._train_step  # compiling takes longer than these steps
    real = PainterTraining.train_step

    def stops(training):
        if training.step == 2:
            raise KeyboardInterrupt
        return real(training)

    with monkeypatch.context() as patch:
        patch.setattr(PainterTraining, "train_step", stops)
        assert first.run(tmp_path / "c.npz") is None
    assert "Stopped after step 2: the same command goes on" in capsys.readouterr().out
    losses = [first.train_step() for _ in range(2)]  # on in memory, and from the file
    for expected, found in zip(losses, second.run(tmp_path / "c.npz"), strict=True):
        assert found == pytest.approx(expected, rel=1e-3)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3), "otherwise the test would see no difference"
    given = {"style": style, "pictures": pictures, "network": network, "steps": 4}
    others = {
        "style": style[:100],
        "network": load_network("vgg16"),
        "content_weight": 1,
        "stability": 0,
        "start": first.painter,
    }
    for name, other in (others | {"crops": 1}).items():
        with pytest.raises(ValueError, match="other settings or pictures"):
            PainterTraining(**given | {name: other}).restore(tmp_path / "c.npz")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--out", "p.h5"], "expected a file ending in .npz"),
        (["--steps", "0"], "1 step and crop or more"),
        (["--crops", "0"], "1 step and crop or more"),
        (["--stability", "nan"], "weights from 0 up"),
        (["--content-weight", "-1"], "--content-weight -1.0 --stability 2"),
        (["--style", "nowhere.jpg"], "no file nowhere.jpg"),
        (["--network", "nowhere.h5"], "There is no network nowhere.h5"),
        (["--start", "nowhere"], "There is no painter nowhere"),
        (["--images", "{empty}"], "holds 0 readable pictures, expected at least 16"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    options = {"--style": str(STYLE), "--images": str(ROOT / "images"), "--out": str(tmp_path / "p.npz")}
    options[arguments[0]] = arguments[1].format(empty=tmp_path / "empty")
    assert main(["painter", *[word for pair in options.items() for word in pair]]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("stlib.training: ") and words in message
