// A canvas over the photo. The mask is what is drawn, opaque in the region: for Python, the data URL of a PNG.
const SPOT = 0.04; // of the longer side: how far an arrow key moves the brush

function stripes(context) { // not a color: to be seen on every photo, by everybody
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  for (const [color, shift] of [["white", 0], ["black", 4]]) {
    pen.strokeStyle = color;
    pen.lineWidth = 3;
    for (const x of [shift - 8, shift, shift + 8]) {
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x + 8, 8);
      pen.stroke();
    }
  }
  return context.createPattern(tile, "repeat");
}

function render({ model, el }) {
  const canvas = document.createElement("canvas"), mask = document.createElement("canvas");
  const photo = new Image(), at = { x: 0, y: 0 };
  let drawing = false;
  canvas.tabIndex = 0;
  canvas.className = "stlib-brush";
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", model.get("label"));
  el.append(canvas);

  const radius = () => (model.get("width") / 200) * Math.max(canvas.width, canvas.height);

  function show() {
    const pen = canvas.getContext("2d"), layer = document.createElement("canvas");
    pen.drawImage(photo, 0, 0);
    layer.width = canvas.width;
    layer.height = canvas.height;
    const over = layer.getContext("2d");
    over.drawImage(mask, 0, 0);
    over.globalCompositeOperation = "source-in";
    over.fillStyle = stripes(over);
    over.fillRect(0, 0, layer.width, layer.height);
    pen.globalAlpha = 0.6;
    pen.drawImage(layer, 0, 0);
    pen.globalAlpha = 1;
    for (const [color, line] of [["black", 3], ["white", 1]]) { // the brush
      pen.strokeStyle = color;
      pen.lineWidth = line;
      pen.beginPath();
      pen.arc(at.x, at.y, radius(), 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  function dab(from) {
    const pen = mask.getContext("2d");
    pen.globalCompositeOperation = model.get("erase") ? "destination-out" : "source-over";
    pen.strokeStyle = "white";
    pen.lineCap = "round";
    pen.lineWidth = 2 * radius();
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(at.x + 0.01, at.y);
    pen.stroke();
    show();
  }

  function send() {
    model.set("mask", mask.toDataURL());
    model.save_changes();
  }

  function move(event) {
    const box = canvas.getBoundingClientRect(), from = { ...at };
    at.x = ((event.clientX - box.left) / box.width) * canvas.width;
    at.y = ((event.clientY - box.top) / box.height) * canvas.height;
    return from;
  }

  canvas.onpointerdown = (event) => {
    move(event);
    drawing = true;
    canvas.setPointerCapture(event.pointerId);
    dab(at);
  };
  canvas.onpointermove = (event) => {
    const from = move(event);
    drawing ? dab(from) : show();
  };
  canvas.onpointerup = canvas.onpointercancel = () => {
    if (drawing) send();
    drawing = false;
  };
  canvas.onkeydown = (event) => {
    const step = SPOT * Math.max(canvas.width, canvas.height);
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0] }[event.key] || [];
    if (x === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has plans for these keys, too
    at.x = Math.min(canvas.width, Math.max(0, at.x + x * step));
    at.y = Math.min(canvas.height, Math.max(0, at.y + y * step));
    event.key === " " ? (dab(at), send()) : show();
  };

  function load() { // the mask that Python has, over the photo that it has
    canvas.width = mask.width = photo.width;
    canvas.height = mask.height = photo.height;
    at.x = canvas.width / 2;
    at.y = canvas.height / 2;
    const drawn = new Image();
    drawn.onload = () => (mask.getContext("2d").drawImage(drawn, 0, 0, mask.width, mask.height), show());
    if (model.get("mask")) drawn.src = model.get("mask");
    show();
  }

  photo.onload = load;
  const fetch = () => (photo.src = model.get("photo"));
  model.on("change:photo", fetch);
  model.on("change:mask", () => model.get("mask") === mask.toDataURL() || load());
  model.on("change:width", show);
  fetch();
}

export default { render };
