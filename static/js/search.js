/* The box on every page as a combobox: results come as one types, the arrow keys choose, Enter goes there.
   Without this script the form leads to the page of results. */
(() => {
  "use strict";
  const box = document.getElementById("jump");
  const list = document.getElementById("jump-list");
  const status = document.getElementById("jump-status");
  if (!box || !list) return;

  const WAIT = 90; // ms after a key, so that a fast typist asks once
  const FEWEST = 2;
  let timer = 0;
  let asking = null;
  let shown = "";

  const options = () => [...list.querySelectorAll("[role=option]")];
  const chosen = () => list.querySelector("[aria-selected=true]");

  box.setAttribute("role", "combobox");
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-controls", "jump-list");
  box.setAttribute("aria-expanded", "false");

  function choose(option) {
    chosen()?.setAttribute("aria-selected", "false");
    if (!option) return box.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    box.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  function open() {
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
  }

  function close() {
    clearTimeout(timer);
    asking?.abort();
    list.hidden = true;
    box.setAttribute("aria-expanded", "false");
    choose(null);
  }

  function show(text, answer) {
    const part = new DOMParser().parseFromString(answer, "text/html").body;
    const count = part.querySelector("#jump-count");
    if (!count) return; // no answer of ours: signed out, or the store is away
    if (status) status.textContent = count.textContent;
    count.remove();
    list.replaceChildren(...part.childNodes);
    shown = text;
    choose(null);
    if (document.activeElement === box) open();
  }

  async function ask(text) {
    asking?.abort();
    asking = new AbortController();
    list.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(`${list.dataset.url}?q=${encodeURIComponent(text)}`, {
        headers: { "HX-Request": "true" }, credentials: "same-origin", redirect: "manual", signal: asking.signal,
      });
      if (answer.ok && text === box.value.trim()) show(text, await answer.text());
      else if (!answer.ok) close(); // Enter still leads to a page that says why
    } catch (error) {
      if (error.name !== "AbortError") close();
    } finally {
      list.removeAttribute("aria-busy");
    }
  }

  function typed() {
    clearTimeout(timer);
    const text = box.value.trim();
    if (text.length < FEWEST) {
      shown = "";
      return close();
    }
    timer = setTimeout(() => ask(text), WAIT);
  }

  function step(direction) {
    const all = options();
    if (!all.length) return;
    const at = all.indexOf(chosen());
    const next = at < 0 && direction < 0 ? all.length - 1 : at + direction;
    choose(next < 0 || next >= all.length ? null : all[next]); // past either end: back to what was typed
  }

  box.addEventListener("input", typed);
  box.addEventListener("focus", () => {
    if (shown && shown === box.value.trim()) open();
    else typed();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden && shown === box.value.trim() && shown) open();
      if (!list.hidden) step(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && !list.hidden && chosen()) {
      event.preventDefault();
      const option = chosen();
      if (event.ctrlKey || event.metaKey) window.open(option.href, "_blank", "noopener");
      else location.assign(option.href);
    }
  });

  // A press on an option must not take the focus away before the click has come.
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("pointermove", (event) => choose(event.target.closest("[role=option]")));
  document.addEventListener("focusin", (event) => {
    if (!event.target.closest(".jump")) close();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".jump")) close();
  });
})();
