// A line that a screen reader reads out when it changes.
function render({ model, el }) {
  el.setAttribute("role", "status");
  el.classList.add("stlib-status");
  const show = () => (el.textContent = model.get("text"));
  model.on("change:text", show);
  show();
}

export default { render };
