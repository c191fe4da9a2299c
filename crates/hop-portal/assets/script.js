// Copy buttons. They are hidden until this runs, so that no button is there that does nothing.
"use strict";
const offerCopying = (root) => {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
};
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  if (!source) return;
  const label = button.firstChild;
  try {
    await navigator.clipboard.writeText(source.textContent.trim() + "\n");
    label.nodeValue = "Copied";
  } catch {
    // The browser said no: the text is marked, so that the keyboard copies it.
    getSelection().selectAllChildren(source);
    label.nodeValue = "Selected";
  }
  setTimeout(() => { label.nodeValue = "Copy"; }, 2000);
});
offerCopying(document);
