// Keeps the page as it is now. What somebody is typing stays: only questions that came or went are touched.
"use strict";
const asked = document.getElementById("asked");
const held = document.getElementById("held");
const none = document.getElementById("none");
const gone = document.getElementById("gone");

const look = async () => {
  const answer = await fetch(location.pathname, { cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  const now = new DOMParser().parseFromString(await answer.text(), "text/html");
  const there = new Set();
  for (const question of now.querySelectorAll("[data-question]")) {
    const id = question.dataset.question;
    there.add(id);
    if (!asked.querySelector(`[data-question="${CSS.escape(id)}"]`)) {
      asked.append(question);
      // What was said is about a question before.
      document.getElementById("said")?.remove();
      if (!document.activeElement || document.activeElement === document.body) question.querySelector("input:not([type=hidden])")?.focus();
    }
  }
  for (const question of asked.querySelectorAll("[data-question]")) {
    if (!there.has(question.dataset.question)) question.remove();
  }
  none.hidden = there.size > 0;
  held.replaceChildren(...now.getElementById("held").childNodes);
  document.title = now.title;
  gone.hidden = true;
};

let waiting = Promise.resolve();
const soon = () => { waiting = waiting.then(look).catch(() => { gone.hidden = false; }); };

const changes = new EventSource("changes");
// Also after a break: something may have changed meanwhile.
changes.onopen = soon;
changes.onmessage = soon;
changes.onerror = () => { gone.hidden = false; };
// The time that is left.
setInterval(soon, 60000);
