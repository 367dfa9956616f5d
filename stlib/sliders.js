function render() {
  function name() {
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
