// Keys press the buttons, so that the page works without this file, too.
"use strict";

let sent = false;

document.addEventListener("keydown", (event) => {
  // A key that is held down would grade pairs that nobody has read.
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const button = document.querySelector(`button[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button !== null && !button.disabled) button.click();
});

document.addEventListener("submit", (event) => {
  // The second of two quick clicks would be refused as judged already.
  if (sent) event.preventDefault();
  sent = true;
});

// Shown again from the browser's history.
window.addEventListener("pageshow", () => { sent = false; });

const picture = document.getElementById("picture");
if (picture !== null) {
  const remove = () => {
    picture.closest("article").classList.remove("pictured");
    picture.remove();
  };
  if (picture.complete && picture.naturalWidth === 0) remove();
  else picture.addEventListener("error", remove);
}
