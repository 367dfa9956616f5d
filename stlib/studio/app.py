"""The widgets of the studio, on ipywidgets. What is painted is in recipe, how it is shown in view."""

import base64
import hashlib
import io
import threading
import time
import weakref
from pathlib import Path

import anywidget
import ipywidgets as widgets
import numpy as np
import traitlets
from PIL import Image

from stlib import compose, images
from stlib.command.program import sentence
from stlib.language import translate
from stlib.settings import RECIPES, STYLE_LAYERS, Settings
from stlib.sliders import Names
from stlib.studio import recipe as recipes
from stlib.studio import view

PREVIEW, CANVAS, THUMBNAIL = 256, 400, 160  # pixels of the longest side
LAYERS = dict(zip(STYLE_LAYERS, ("colors", "fine marks", "short strokes", "whirls and forms", "large forms")))
NETWORKS = {"slim, quick": "slim", "VGG16, beautiful: six times as long": "vgg16"}
NONE = "none"
WIDE = {"style": {"description_width": "150px"}, "layout": widgets.Layout(width="95%")}
LINE = {"indent": False, "layout": widgets.Layout(width="95%")}


class Status(anywidget.AnyWidget):
    """One sentence; screen readers read it out when it changes."""

    _esm = Path(__file__).with_name("status.js")
    text = traitlets.Unicode().tag(sync=True)


class Brush(anywidget.AnyWidget):
    """A canvas over `photo` to draw on. `mask` is a data URL of a PNG, opaque in the region; "" is no region."""

    _esm = Path(__file__).with_name("brush.js")
    label = traitlets.Unicode().tag(sync=True)  # for screen readers
    photo = traitlets.Unicode().tag(sync=True)
    mask = traitlets.Unicode().tag(sync=True)
    width = traitlets.Int(12).tag(sync=True)  # of the brush, in percent of the longer side
    erase = traitlets.Bool().tag(sync=True)

    def image(self):
        """The mask as an image (h, w, 3), white in the region; None if nothing is drawn."""
        if not self.mask:
            return None
        with Image.open(io.BytesIO(base64.b64decode(self.mask.split(",")[1]))) as file:
            region = np.asarray(file.convert("RGBA"), np.float32)[..., 3:] / 255
        return np.repeat(region, 3, axis=-1) if region.any() else None


class Chooser(widgets.VBox):
    """Thumbnails to choose one of, and an upload that adds one; `path` is the one chosen."""

    path = traitlets.Instance(Path)

    def __init__(self, folders, first, heading, upload, say):
        self.folders, self.say = folders, say
        self.thumbnails = widgets.Box(layout=widgets.Layout(flex_flow="row wrap"))
        self.upload = _upload(upload, self._keep, say)
        super().__init__([_heading(heading), self.thumbnails, self.upload])
        self.refresh()
        self.choose(next((path for path in self.buttons if path.stem == first), next(iter(self.buttons))))

    def paths(self):
        """The pictures in the folders, by name."""
        files = [path for folder in self.folders for path in sorted(folder.glob("*"))]
        return [path for path in files if path.suffix.lower() in images.FORMATS]

    def refresh(self):
        """Make the buttons anew, each a thumbnail with its name."""
        self.buttons, rules = {}, []
        for path in self.paths():
            try:
                url = view.data_url(recipes.small(path, THUMBNAIL, path.stat().st_mtime))
            except (ValueError, OSError):
                continue  # a broken file in the reader's folder
            kind = "stlib-" + hashlib.sha256(url.encode()).hexdigest()[:12]
            rules.append(f'.{kind} {{ background-image: url("{url}") !important; }}')
            button = widgets.Button(tooltip=path.name)
            button.add_class("stlib-thumbnail")
            button.add_class(kind)
            button.on_click(lambda _, path=path: self.choose(path))
            self.buttons[path] = button
        self.thumbnails.children = [widgets.HTML(f"<style>{' '.join(rules)}</style>"), *self.buttons.values()]

    def choose(self, chosen):
        """Take the picture with this path, and mark its button."""
        for path, button in self.buttons.items():
            button.description = ("✓ " if path == chosen else "") + view.title(path)
            (button.add_class if path == chosen else button.remove_class)("stlib-chosen")
        self.path = chosen

    def _keep(self, name, content):
        path = recipes.keep(name, content, self.folders[-1])
        self.refresh()
        self.choose(path)
        self.say(f"{path.name} is now among the pictures in {self.folders[-1].as_posix()}.")


class Studio(widgets.VBox):
    """Everything on one page. root: the folder of the course, with images/; pictures are saved in its out/.

    A new studio stops what the one before it paints.
    """

    _newest = None

    def __init__(self, root=".."):
        if Studio._newest and Studio._newest():
            Studio._newest().stop()
        Studio._newest = weakref.ref(self)
        self.pictures, self.out = Path(root) / "images", Path(root) / "out"
        self.gallery, self.current, self.thread = [], None, None
        self.stopped, self.asked, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.status = Status(text=translate("Choose a photo and a painting, then press Paint."))
        self._make_widgets()
        left = [self.photo, self.painting, *self._knobs(), self.region, self.region_box]
        right = [
            self.preview, widgets.HBox([self.paint, self.halt]), self.status, self.picture, self.curves,
            widgets.HBox([self.save, self.show_code]), self.code, _heading("Gallery"), self.painted,
        ]  # fmt: skip
        sides = [widgets.VBox(side) for side in (left, right)]
        for side in sides:
            side.add_class("stlib-side")
        page = widgets.Box(sides, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([widgets.HTML(view.CSS), Names(), page])
        self._connect()
        threading.Thread(target=self._previews, daemon=True).start()

    def _make_widgets(self):
        content, style, own = (self.pictures / kind for kind in ("content", "style", "own"))
        words = "Choose a photo", "Upload a photo"
        self.photo = Chooser([content, own], "summer_palace", *words, self._say)
        words = "Choose a painting", "Upload a painting"
        self.painting = Chooser([style, own], "starry_night", *words, self._say)
        self.second = widgets.Dropdown(description="Second painting", **WIDE)
        self.share = widgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="Share of the second", **WIDE)
        self.size = widgets.IntSlider(Settings.size, min=64, max=1024, step=32, description="Size in pixels", **WIDE)
        self.balance = widgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="Photo 0, painting 1", **WIDE)
        self.strokes = widgets.FloatSlider(1, min=0.5, max=2, step=0.25, description="Strokes, times as large", **WIDE)
        networks = {translate(name): network for name, network in NETWORKS.items()}
        self.network = widgets.Dropdown(options=networks, description="Network", **WIDE)
        self.keep_colors = widgets.Checkbox(description="Keep the photo's colors", **LINE)
        self.layers = {
            layer: widgets.Checkbox(True, description=f"{translate(about)} ({layer})", **LINE)
            for layer, about in LAYERS.items()
        }
        self.region = widgets.Checkbox(description="A region keeps the photo, or is the second painting's", **LINE)
        keys = "The region, over the photo: draw with the pointer, or move with the arrow keys and press space to paint"
        self.brush = Brush(label=translate(keys))
        self.width = widgets.IntSlider(12, min=2, max=40, description="Brush in percent", **WIDE)
        self.erase = widgets.Checkbox(description="Erase", **LINE)
        self.clear = widgets.Button(description="Clear the region")
        self.mask = _upload("Upload a mask (white is the region)", self._take_mask, self._say)
        self.region_box = widgets.VBox([self.brush, self.width, self.erase, self.clear, self.mask])
        self.preview, self.picture, self.curves = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.paint = widgets.Button(description="Paint", button_style="primary")
        self.halt = widgets.Button(description="Stop", disabled=True)
        self.save = widgets.Button(description="Save", disabled=True)
        self.show_code = widgets.Button(description="Show the code", disabled=True)
        self.code = widgets.Textarea(description="Code", rows=6, layout=widgets.Layout(width="95%", display="none"))
        self.code.add_class("stlib-code")
        self.painted = widgets.Box(layout=widgets.Layout(flex_flow="row wrap"))
        for widget in vars(self).values():
            if hasattr(widget, "description"):
                widget.description = translate(widget.description)

    def _knobs(self):
        return [
            _heading("Choose how"), self.size, self.balance, self.strokes, self.network, self.second,
            self.share, self.keep_colors, _heading("What of the painting counts", "b"), *self.layers.values(),
        ]  # fmt: skip

    def _connect(self):
        self.paint.on_click(lambda _: self.start())
        self.halt.on_click(lambda _: self.stopped.set())
        self.save.on_click(lambda _: self._attempt(self._save))
        self.show_code.on_click(lambda _: self._show_code())
        self.clear.on_click(lambda _: self.brush.set_trait("mask", ""))
        widgets.link((self.width, "value"), (self.brush, "width"))
        widgets.link((self.erase, "value"), (self.brush, "erase"))
        self.photo.observe(self._new_photo, "path")
        self.painting.observe(self._new_paintings, "path")
        self.region.observe(self._fold, "value")
        self.second.observe(self._fold, "value")
        for knob in (self.share, self.size, self.balance, self.strokes, self.keep_colors, self.second, self.region):
            knob.observe(self._ask, "value")
        self.brush.observe(self._ask, "mask")
        self._new_photo()
        self._new_paintings()
        self._fold()

    def _new_photo(self, _=None):
        self.brush.mask = ""
        self.brush.photo = view.data_url(self._small(self.photo.path, CANVAS))
        self._ask()

    def _new_paintings(self, _=None):
        chosen = self.second.value or NONE
        self.second.options = {translate(NONE): NONE} | {view.title(path): path for path in self.painting.buttons}
        self.second.value = chosen
        self._ask()

    def _fold(self, _=None):
        """Show what can be used only."""
        self.region_box.layout.display = "flex" if self.region.value else "none"
        self.share.disabled = self.second.value == NONE or self.region.value

    def _say(self, text):
        self.status.text = translate(text)

    def _attempt(self, work, *arguments):
        """Call `work`; if it fails, say why in one sentence."""
        try:
            return work(*arguments)
        except Exception as error:  # of whatever type: a button that does nothing explains nothing
            self._say(sentence(error))

    def _take_mask(self, name, content):
        mask = images.resize(recipes.read(name, content), self._small(self.photo.path, CANVAS).shape[:2])
        region = np.concatenate([np.ones_like(mask), mask[..., :1]], axis=-1)
        self.brush.mask = view.data_url(region, kind="PNG")
        self._say(f"{name} is the region: white in it is painted differently.")

    # Preview

    def _ask(self, _=None):
        self.asked.set()

    def _previews(self):
        while not self.closed.is_set():
            self.asked.wait()
            self.asked.clear()  # of many changes at once the last is shown
            if not self.closed.is_set():
                self._attempt(self._preview)

    def _preview(self):
        photo = self._small(self.photo.path, min(PREVIEW, self.size.value))
        paths = [path for path in (self.painting.path, self.second.value) if path != NONE]
        paintings = [self._small(path, PREVIEW) for path in paths]
        painters = [recipes.painter_of(path.stem) for path in paths]
        options = dict(second=paintings[1], second_network=painters[1]) if paths[1:] else {}
        options |= {name: getattr(self, name).value for name in ("share", "balance", "strokes", "keep_colors")}
        options["mask"] = self.brush.image() if self.region.value else None
        image = compose.preview(photo, paintings[0], painters[0], **options)
        names = translate(" and ").join(view.title(path) for path, painter in zip(paths, painters) if painter is None)
        about = f"colors only, for no painter has learned {names}" if names else "by a painter"
        self.preview.value = view.picture(image, f"Preview, {about}")

    def _small(self, path, size):
        return recipes.small(path, size, path.stat().st_mtime)

    # Painting

    def recipe(self):
        """What is chosen, as stlib.studio.recipe has it. Raises ValueError in one sentence."""
        tuned = RECIPES[self.network.value]
        recipe = {"photo": self.photo.path, "painting": self.painting.path, "network": self.network.value}
        recipe |= {"size": self.size.value}
        if self.balance.value != 0.5:
            recipe["content_weight"] = float(f"{tuned['content_weight'] * 10 ** (1 - 2 * self.balance.value):.3g}")
        chosen = [layer for layer, box in self.layers.items() if box.value]
        if not chosen:
            raise ValueError("Nothing of the painting counts: check one of the five boxes at least.")
        if len(chosen) < len(self.layers):
            recipe["style_layers"] = {layer: tuned["style_layers"][layer] for layer in chosen}
        if self.strokes.value != 1:
            recipe["strokes"] = self.strokes.value
        if self.keep_colors.value:
            recipe["keep_colors"] = True
        if self.second.value != NONE:
            recipe["second"] = self.second.value
        if self.region.value:
            mask = self.brush.image()
            if mask is None:
                raise ValueError("The region is empty: draw one, upload a mask, or take the check mark away.")
            recipe["mask"] = recipes.keep_mask(mask, self.out)
        elif self.second.value != NONE:
            recipe["share"] = self.share.value
        return {key: value.as_posix() if isinstance(value, Path) else value for key, value in recipe.items()}

    def start(self):
        """Paint what is chosen, in a thread of its own."""
        recipe = self._attempt(self.recipe)
        if recipe and not (self.thread and self.thread.is_alive()):
            self.stopped.clear()
            self.paint.disabled, self.halt.disabled = True, False
            self._say(f"Painting at {recipe['size']} pixels with {recipe['network']}.")
            self.thread = threading.Thread(target=self._attempt, args=(self._paint, recipe), daemon=True)
            self.thread.start()

    def _paint(self, recipe):
        began, shown, rows, steps = time.monotonic(), 0, [], ""

        def watch(progress):
            nonlocal shown, steps
            rows.append(progress.losses)
            steps = f"step {progress.step} of {progress.total}"
            if time.monotonic() - shown > 1 or progress.step == progress.total:
                shown = time.monotonic()
                about = f"step {progress.step} of {progress.total}, scale {progress.scale} of {progress.scales}"
                self.picture.value = view.picture(progress.image(), about)
                self.curves.value = view.curves(rows)
            if self.stopped.is_set():
                raise KeyboardInterrupt  # stylize returns the picture so far

        try:
            result = recipes.painted(recipe, watch)
        finally:
            self.paint.disabled, self.halt.disabled = False, True
        about = view.describe(recipe) + (translate(f", stopped at {steps}") if result.interrupted else "")
        settings = result.settings | ({"stopped": steps} if result.interrupted else {})
        made = dict(image=result.image, settings=settings, curves=view.curves(rows))
        self._add(made | dict(recipe=recipe, about=about))
        self._say(
            f"Stopped at {steps}: the picture so far is in the gallery."
            if result.interrupted
            else f"Painted in {time.monotonic() - began:.0f} s."
        )

    def stop(self):
        """Stop painting and previews; what was painted so far stays in the gallery."""
        self.closed.set()
        self.stopped.set()
        self.asked.set()

    def close(self):
        """Stop, and take the widgets off the page."""
        self.stop()
        super().close()

    # Gallery

    def _add(self, picture):
        again = widgets.Button(description=translate("Show again"), tooltip=picture["about"])
        again.on_click(lambda _: self._show(picture))
        shown = widgets.HTML(view.picture(picture["image"], picture["about"], THUMBNAIL))
        shown = widgets.VBox([shown, again], layout=widgets.Layout(width="180px"))
        self.gallery.append(picture)
        self.painted.children = [shown, *self.painted.children]  # the newest first
        self._show(picture)

    def _show(self, picture):
        self.current = picture
        self.picture.value, self.curves.value = view.picture(picture["image"], picture["about"]), picture["curves"]
        self.save.disabled = self.show_code.disabled = False
        self.code.layout.display = "none"

    def _path(self):
        recipe = self.current["recipe"]
        return recipes.free(self.out / f"{Path(recipe['photo']).stem}_{Path(recipe['painting']).stem}.png")

    def _save(self):
        made = recipes.metadata(self.current["recipe"], self.current["settings"], self.pictures)
        profile = images.color_profile(self.current["recipe"]["photo"])
        path = images.save(self.current["image"], self._path(), profile=profile, **made)
        self._say(f"Saved as {path.as_posix()}, with its settings.")

    def _show_code(self):
        self.code.value = recipes.code(self.current["recipe"], self._path())
        self.code.layout.display = "flex"


def _heading(text, tag="h2"):
    return widgets.HTML(f"<{tag}>{translate(text)}</{tag}>")


def _upload(description, take, say):
    """A button for uploads; each file goes to `take(name, content)`, and what is wrong with it to `say`."""
    layout = widgets.Layout(width="max-content")
    upload = widgets.FileUpload(description=translate(description), accept="image/*", icon="", layout=layout)

    def uploaded(change):
        for file in change["new"]:
            try:
                take(file["name"], bytes(file["content"]))
            except Exception as error:
                say(sentence(error))
        if change["new"]:
            upload.value = ()  # the next file may have the same name

    upload.observe(uploaded, "value")
    return upload
