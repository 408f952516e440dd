// Page: comfort only. Every link and form works without this file.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.replace("no-js", "js");

  // "/" goes to the search box, as in most shops and code hosts.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const box = document.getElementById("q");
    box.focus();
    box.select();
  });

  const filters = document.getElementById("filters");
  if (filters) {
    // What is left as it is by default need not stand in the address.
    filters.addEventListener("submit", () => {
      for (const field of filters.elements) {
        const emptyPrice = field.type === "number" && field.value === "";
        const usualOrder = field.name === "sort" && field.value === "best";
        if (emptyPrice || usualOrder) field.disabled = true;
      }
    });
    // Coming back from another page, the browser restores the form as it was sent: undo that.
    window.addEventListener("pageshow", () => {
      for (const field of filters.elements) field.disabled = false;
    });
    filters.addEventListener("change", (event) => {
      if (event.target.type === "checkbox") filters.requestSubmit();
    });
    const sort = document.getElementById("sort");
    // A keyboard user walks through the options: submit when they leave or press Enter.
    if (sort) {
      let byKey = false;
      const shown = sort.value;
      const send = () => { if (sort.value !== shown) filters.requestSubmit(); };
      sort.addEventListener("keydown", (event) => {
        byKey = event.key !== "Enter";
        if (event.key === "Enter") send();
      });
      sort.addEventListener("pointerdown", () => { byKey = false; });
      sort.addEventListener("change", () => { if (!byKey) send(); });
      sort.addEventListener("blur", send);
    }
    // The drawer is a phone's: beside the results there is room for it to stand open.
    const drawer = filters.closest("details");
    const wide = window.matchMedia("(min-width: 52rem)");
    const fit = () => { if (drawer) drawer.open = wide.matches; };
    wide.addEventListener("change", fit);
    fit();
  }

  // Pointing at a product in one order shows where it stands in the other.
  const rows = document.querySelectorAll(".ranks [data-product]");
  const mark = (product, on) => rows.forEach((row) => {
    if (row.dataset.product === product) row.classList.toggle("paired", on);
  });
  rows.forEach((row) => {
    for (const [name, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]]) {
      row.addEventListener(name, () => mark(row.dataset.product, on));
    }
  });
})();
