/* What every page's frame can do: toasts, appearance, the jump box, boxes ticked together, forms sent once. */
(() => {
  "use strict";
  const tideline = (window.tideline ??= {});
  const root = document.documentElement;

  // ------------------------------------------------------------ toasts

  const CLOSE = "M18 6 6 18M6 6l12 12";
  const ICONS = { good: "M20 6 9 17l-5-5", bad: CLOSE, warn: "M12 8v5m0 4h.01M12 3 2.5 20h19z" };
  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  function drawing(path) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, value] of Object.entries({ class: "icon", viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "aria-hidden": "true" })) svg.setAttribute(name, value);
    svg.append(document.createElementNS(svg.namespaceURI, "path"));
    svg.firstChild.setAttribute("d", path);
    return svg;
  }

  function dismiss(toast) {
    if (!toast.isConnected) return;
    if (calm()) return toast.remove();
    toast.classList.add("leaving");
    setTimeout(() => toast.remove(), 200);
  }

  // Good news leaves by itself, but not from under the pointer or the focus; bad news waits to be read.
  function settle(toast) {
    const close = document.createElement("button");
    close.type = "button";
    close.className = "close";
    close.setAttribute("aria-label", "Dismiss");
    close.append(drawing(CLOSE));
    close.addEventListener("click", () => dismiss(toast));
    toast.append(close);
    if (toast.classList.contains("bad")) return;
    (function later() {
      setTimeout(() => (toast.matches(":hover, :focus-within") || document.hidden ? later() : dismiss(toast)), 8000);
    })();
  }

  tideline.toast = (words, { tone = "good", href = "", verb = "" } = {}) => {
    const list = document.getElementById("toasts");
    if (!list || !words) return;
    const same = [...list.children].find((old) => old.querySelector("p")?.textContent === words);
    if (same) return;
    const toast = document.createElement("div");
    toast.className = `toast ${tone === "good" ? "" : tone}`.trim();
    const p = document.createElement("p");
    p.textContent = words;
    toast.append(drawing(ICONS[tone] ?? ICONS.good), p);
    if (href && verb) {
      const link = document.createElement("a");
      link.href = href;
      link.textContent = verb;
      toast.append(link);
    }
    settle(toast);
    list.append(toast);
    while (list.children.length > 4) list.firstElementChild.remove();
  };

  // Messages the server sent along with a page or an answer.
  tideline.addToasts = (list) => {
    const target = document.getElementById("toasts");
    for (const toast of list ? [...list.children] : []) {
      settle(toast);
      if (toast.parentElement !== target) target?.append(toast);
    }
  };
  tideline.addToasts(document.getElementById("toasts"));

  // Toasts of an answer that led to another page are shown there.
  tideline.carryToasts = (list) => {
    try { if (list?.children.length) sessionStorage.setItem("toasts", list.innerHTML); } catch { /* a private window without storage */ }
  };
  try {
    const carried = sessionStorage.getItem("toasts");
    sessionStorage.removeItem("toasts");
    if (carried) tideline.addToasts(new DOMParser().parseFromString(carried, "text/html").body);
  } catch { /* as above */ }

  // ------------------------------------------------------------ appearance

  document.getElementById("theme")?.addEventListener("submit", (event) => {
    const form = event.currentTarget;
    const choice = event.submitter?.value;
    if (!choice) return;
    event.preventDefault();
    root.dataset.theme = choice;
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === choice));
    fetch(form.action, { method: "POST", body: new FormData(form, event.submitter), redirect: "manual", keepalive: true })
      .catch(() => tideline.toast("The choice could not be kept; it holds for this page.", { tone: "warn" }));
  });

  // ------------------------------------------------------------ keyboard

  const writing = (element) => element?.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");

  function step(direction) {
    const rows = [...document.querySelectorAll("main [data-row]")].filter((row) => row.querySelector("a, button"));
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const row = rows[at < 0 ? (direction > 0 ? 0 : rows.length - 1) : at + direction];
    row?.querySelector("a, button")?.focus();
    row?.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    const find = (event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !writing(event.target));
    if (find && document.getElementById("jump")) {
      event.preventDefault();
      document.getElementById("jump").focus();
      document.getElementById("jump").select();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || writing(event.target) || document.querySelector("dialog[open], :popover-open")) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
  });

  // ------------------------------------------------------------ boxes ticked together

  function count(name) {
    const boxes = [...document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(name)}"]`)];
    const ticked = boxes.filter((box) => box.checked).length;
    for (const all of document.querySelectorAll(`[data-pick-all="${CSS.escape(name)}"]`)) {
      all.checked = ticked > 0 && ticked === boxes.length;
      all.indeterminate = ticked > 0 && ticked < boxes.length;
    }
    for (const words of document.querySelectorAll(`[data-picked="${CSS.escape(name)}"]`)) words.textContent = ticked;
    for (const element of document.querySelectorAll(`[data-needs-picked="${CSS.escape(name)}"]`)) element.disabled = !ticked;
  }
  tideline.countPicked = () => {
    const names = new Set([...document.querySelectorAll("[data-pick-all], [data-picked], [data-needs-picked]")].map((e) => e.dataset.pickAll ?? e.dataset.picked ?? e.dataset.needsPicked));
    names.forEach(count);
  };
  document.addEventListener("change", (event) => {
    const box = event.target.closest?.("input[type=checkbox]");
    if (!box) return;
    const name = box.dataset.pickAll;
    if (name) for (const one of document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(name)}"]`)) one.checked = box.checked;
    tideline.countPicked();
  });
  tideline.countPicked();

  // ------------------------------------------------------------ forms

  // A change of a choice in a filter form is the wish to see it.
  document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (event.target.matches?.("select") && form?.matches("[data-auto]")) form.requestSubmit();
  });

  // Chips on one line that scrolls: the chosen one is to be seen.
  for (const chip of document.querySelectorAll(".chips [aria-current]")) {
    const line = chip.closest(".chips");
    line.scrollLeft = chip.offsetLeft - line.offsetLeft - 40;
  }

  // Sent once: a second click on the way finds the button off. The token makes it harmless, this makes it calm.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post" || form.id === "theme") return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "1";
    // After the browser has gathered the fields: a button that is off would not be sent along.
    setTimeout(() => event.submitter?.setAttribute("aria-busy", "true"));
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  });

  // The first field that is wrong is where to go on; after a refused sign-in that is the password, which came back empty.
  (document.querySelector("main [aria-invalid=true]") ?? document.querySelector("main:has(.errors) [type=password]"))?.focus();

  // An error page of a store that is away tries again by itself.
  const retry = document.querySelector("[data-retry]");
  if (retry) {
    setInterval(async () => {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" }).catch(() => null);
      if (answer && answer.status !== 503) location.reload();
    }, Number(retry.dataset.retry) * 1000);
  }

  // A link may open a dialog of its page: <a href="/without/javascript/" data-dialog="the-id">.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-dialog]");
    const dialog = link && document.getElementById(link.dataset.dialog);
    if (!dialog || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    dialog.showModal ? dialog.showModal() : dialog.showPopover();
  });
})();

/* Lists by the keyboard: with the focus in a row, J and K go to the next and the one before, and a letter presses the
   verb that says it has it (data-key). Only within a row, so that no letter does anything by surprise. */
(() => {
  "use strict";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    const row = event.target.closest("tr[data-row]");
    if (!row) return;
    const key = event.key.toLowerCase();
    const beside = { j: row.nextElementSibling, k: row.previousElementSibling }[key];
    const goal = beside ? beside.querySelector("a[href]") : row.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (!goal) return;
    event.preventDefault();
    if (beside) goal.focus(); else goal.click();
  });
  document.addEventListener("click", (event) => { if (event.target.closest("[data-print]")) print(); });
})();
