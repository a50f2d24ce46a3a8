/* A list follows what one types into its own box (`[data-as-typed]`): address, live updates and verbs are those of what was
   typed last. Without this script, and by Enter, the form asks for the page. */
(() => {
  "use strict";
  const { htmx } = window;
  const main = document.getElementById("main");
  const box = main?.querySelector("[data-as-typed]");
  if (!box || !htmx) return;

  const WAIT = 150; // ms after a key, so that a fast typist asks once
  let timer = 0;

  function address() {
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(box.form)) if (value.trim()) asked.append(name, value.trim());
    return asked.size ? `${location.pathname}?${asked}` : location.pathname;
  }

  function ask() {
    const wanted = address();
    if (wanted === main.getAttribute("hx-get")) return;
    htmx.trigger(main, "htmx:abort"); // an answer to what was typed before would be shown as one to this
    history.replaceState(history.state, "", wanted);
    main.setAttribute("hx-get", wanted);
    htmx.process(main);
    for (const next of document.querySelectorAll("input[name=next]")) next.value = wanted; // verbs, and saved filters
    htmx.trigger(main, "refresh");
  }

  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT);
  });
})();
