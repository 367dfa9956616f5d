// A line that a screen reader reads out when it changes.
function render({ model, el }) {
  el.setAttribute("role", "status");
  el.classList.add("stlib-status");
  const show = () => (el.textContent = model.get("text"));
  model.on("change:text", show);
  show();

  function name() { // ipywidgets' sliders have a label, but for a screen reader no name
    for (const slider of document.querySelectorAll(".widget-slider")) {
      const label = slider.querySelector("label");
      if (label) slider.querySelector("[role=slider]")?.setAttribute("aria-label", label.textContent);
    }
  }
  setTimeout(name, 500); // when they are there
  document.addEventListener("focusin", name, true);
  return () => document.removeEventListener("focusin", name, true);
}

export default { render };
