// Page: conveniences. Every link and form works without this file.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.replace("no-js", "js");

  // "/" moves the focus to the search box, as in most shops and code hosts.
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
    // Keep default values out of the address.
    filters.addEventListener("submit", () => {
      for (const field of filters.elements) {
        const emptyPrice = field.type === "number" && field.value === "";
        const usualOrder = field.name === "sort" && field.value === "best";
        if (emptyPrice || usualOrder) field.disabled = true;
      }
    });
    // The Back button restores the form as it was submitted, with disabled fields: enable them.
    window.addEventListener("pageshow", () => {
      for (const field of filters.elements) field.disabled = false;
    });
    filters.addEventListener("change", (event) => {
      if (event.target.type === "checkbox") filters.requestSubmit();
    });
    const sort = document.getElementById("sort");
    // Arrow keys step through the options: submit when the menu loses focus, or on Enter.
    if (sort) {
      let byKey = false;
      const initial = sort.value;
      const submit = () => { if (sort.value !== initial) filters.requestSubmit(); };
      sort.addEventListener("keydown", (event) => {
        byKey = event.key !== "Enter";
        if (event.key === "Enter") submit();
      });
      sort.addEventListener("pointerdown", () => { byKey = false; });
      sort.addEventListener("change", () => { if (!byKey) submit(); });
      sort.addEventListener("blur", submit);
    }
    // On a wide screen the drawer is always open.
    const drawer = filters.closest("details");
    const wide = window.matchMedia("(min-width: 52rem)");
    const fit = () => { if (drawer) drawer.open = wide.matches; };
    wide.addEventListener("change", fit);
    fit();
  }

  // Highlight the product under the pointer in both orders.
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
