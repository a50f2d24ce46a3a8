/* The htmx extension "rows": an answer is merged into the page instead of replacing it.
   Top-level elements of the answer are regions; each is merged into the element of the same id. Within, elements with
   an id are matched by it, the rest in order. What is equal is left alone, so focus, selection, scroll, open popovers
   and half-typed input live on. Rows ([data-row]) do not move under the pointer or away from the keyboard's focus. */
(() => {
  "use strict";
  const tideline = (window.tideline ??= {});
  const IDLE = 30_000; // a pointer that rests this long is not about to click
  const TONES = ["ok", "warn", "bad", "ended"];
  const MARKS = ["changed", "arrived", "gone", "leaving", "ended"];
  const OURS = new Set(["open", "style", "aria-busy", "data-sent", "data-stale", "data-off", "checked", "selected"]);

  const held = new Map(); // list -> the newest form of it, waiting for the pointer to leave
  const gone = new Set(); // rows that left, kept while the focus is in them
  let own = false; // merging the answer to this page's own action
  let notices = [];

  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const isRow = (node) => node.nodeType === 1 && node.hasAttribute("data-row");
  const isControl = (node) => node.matches("input, textarea, select");
  const isTyped = (node) => isControl(node) || node.matches("option"); // of a bar or a button the value is ours to say

  // ------------------------------------------------------------ pointer and focus

  const pointer = { mouse: false, touching: false, moved: -Infinity };
  for (const name of ["pointermove", "pointerdown", "pointerover"]) {
    document.addEventListener(name, (event) => {
      pointer.mouse = event.pointerType === "mouse";
      pointer.moved = performance.now();
      if (name === "pointerdown") pointer.touching = !pointer.mouse;
      if (name === "pointerover" && held.size) setTimeout(release);
    }, { passive: true, capture: true });
  }
  for (const name of ["pointerup", "pointercancel"]) {
    document.addEventListener(name, () => { pointer.touching = false; setTimeout(release, 300); }, { passive: true, capture: true });
  }
  document.documentElement.addEventListener("mouseleave", () => { pointer.moved = -Infinity; release(); });
  addEventListener("blur", () => { pointer.moved = -Infinity; release(); });
  document.addEventListener("focusout", () => setTimeout(release));
  document.addEventListener("toggle", () => setTimeout(release), true);
  setInterval(release, 5000);

  const isPointedAt = (list) =>
    list.matches(":hover") && (pointer.touching || (pointer.mouse && performance.now() - pointer.moved < IDLE));

  function isEdited(control) {
    if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
    if (control.tagName === "SELECT") {
      const options = [...control.options];
      const first = Math.max(options.findLastIndex((option) => option.defaultSelected), control.multiple ? -1 : 0);
      return control.multiple ? options.some((o) => o.selected !== o.defaultSelected) : control.selectedIndex !== first && options.length > 0;
    }
    return control.type !== "hidden" && control.value !== control.defaultValue;
  }

  const isHeldByFocus = (element) => {
    const active = document.activeElement;
    return element.contains(active) && active !== element && (isControl(active) || active.matches(":focus-visible"));
  };
  const isOpen = (element) => element.querySelector(":popover-open, dialog[open]") !== null;
  const isBusyWith = (element) =>
    (isHeldByFocus(element) && !own) || isOpen(element) ||
    [...element.querySelectorAll("input:not([type=checkbox], [type=radio]), textarea, select")].some(isEdited);

  // ------------------------------------------------------------ one element

  function syncClass(old, fresh) {
    const local = old.hasAttribute("data-deadline") || (isRow(old) && old.querySelector("[data-deadline]")) ? [...TONES, ...MARKS] : MARKS;
    const keep = [...old.classList].filter((name) => local.includes(name));
    const given = [...fresh.classList].filter((name) => !local.includes(name));
    const before = [...old.classList].filter((name) => !local.includes(name));
    if (before.join(" ") === given.join(" ")) return false;
    old.className = [...given, ...keep].join(" ");
    return true;
  }

  function syncAttributes(old, fresh) {
    let changed = syncClass(old, fresh);
    const ticking = old.hasAttribute("data-deadline") || old.hasAttribute("data-since");
    const skip = (name) => name === "class" || OURS.has(name) || (name === "value" && isTyped(old)) || (ticking && name === "title") || (name === "aria-disabled" && !fresh.hasAttribute(name));
    for (const { name, value } of fresh.attributes) {
      if (skip(name) || old.getAttribute(name) === value) continue;
      old.setAttribute(name, value);
      changed ||= name !== "data-since" && name !== "datetime";
    }
    for (const { name } of [...old.attributes]) {
      if (skip(name) || fresh.hasAttribute(name)) continue;
      old.removeAttribute(name);
      changed = true;
    }
    return changed;
  }

  // What is being written, or was changed by hand, stays as it is; the rest follows the answer.
  function mergeControl(old, fresh) {
    const changed = syncAttributes(old, fresh);
    if (isEdited(old) || (document.activeElement === old && !["checkbox", "radio", "hidden"].includes(old.type))) return false;
    if (old.type === "checkbox" || old.type === "radio") {
      old.defaultChecked = old.checked = fresh.defaultChecked;
    } else if (old.tagName === "SELECT") {
      const options = (select) => [...select.options].map((o) => `${o.value}\n${o.text}\n${o.defaultSelected}`).join("\n\n");
      if (options(old) !== options(fresh)) old.replaceChildren(...fresh.childNodes);
    } else if (old.defaultValue !== fresh.defaultValue) {
      old.defaultValue = fresh.defaultValue;
      if (old.type !== "hidden") old.value = fresh.defaultValue;
    }
    return changed && old.type !== "hidden";
  }

  /** Make `old` like `fresh`; true if something one can see changed. */
  function merge(old, fresh) {
    if (old.nodeType !== 1) {
      if (old.nodeValue === fresh.nodeValue) return false;
      old.nodeValue = fresh.nodeValue;
      return old.nodeType === 3;
    }
    if (old.hasAttribute("data-keep") || old.isEqualNode(fresh) && !isControl(old)) return false;
    if (isControl(old)) return mergeControl(old, fresh);
    const changed = syncAttributes(old, fresh);
    // Digits and rings belong to the tick; only a new deadline is news.
    if (old.hasAttribute("data-deadline") || old.hasAttribute("data-since")) {
      if (!changed || !old.isConnected) return false;
      const shape = (e) => [...e.children].map((c) => c.tagName).join();
      if (shape(old) !== shape(fresh)) old.replaceChildren(...fresh.childNodes);
      return true;
    }
    return mergeChildren(old, fresh) || changed;
  }

  // ------------------------------------------------------------ the children of one element

  const isBlank = (node) => node.nodeType === 3 && !node.nodeValue.trim();
  const isKeyed = (parent) => [...parent.children].some((child) => child.id);

  function pair(olds, freshes) {
    const byId = new Map(olds.filter((node) => node.id).map((node) => [node.id, node]));
    const loose = olds.filter((node) => !node.id);
    return freshes.map((fresh) => {
      if (fresh.id) {
        const match = byId.get(fresh.id);
        return match?.nodeName === fresh.nodeName ? match : null;
      }
      const at = loose.findIndex((node) => node.nodeName === fresh.nodeName);
      return at < 0 ? null : loose.splice(0, at + 1)[at];
    });
  }

  function mergeChildren(old, fresh) {
    const keyed = isKeyed(fresh) || isKeyed(old);
    const take = (parent) => [...parent.childNodes].filter((node) => !(keyed && isBlank(node)));
    const olds = take(old), freshes = take(fresh), matches = pair(olds, freshes);
    const leaving = olds.filter((node) => !matches.includes(node));
    let changed = false;

    matches.forEach((match, i) => {
      if (!match) return;
      if (isRow(match)) stay(match);
      const touched = merge(match, freshes[i]);
      if (touched && isRow(match)) mark(match, "changed");
      changed ||= touched && !isRow(match);
    });

    const isList = [...olds, ...freshes].some(isRow);
    if (isList && isPointedAt(old) && (leaving.length || matches.includes(null) || !inOrder(matches))) {
      hold(old, fresh, matches, freshes, leaving);
      return true;
    }
    held.delete(old);

    for (const node of leaving) changed = leave(node) || changed;
    const staying = leaving.filter((node) => gone.has(node));
    const wanted = matches.map((match, i) => match ?? arrive(freshes[i], isList));
    for (const node of staying) {
      const before = wanted.indexOf(olds[olds.indexOf(node) - 1]);
      wanted.splice(before + 1, 0, node);
    }
    return place(old, wanted, keyed) || changed;
  }

  const inOrder = (nodes) =>
    nodes.every((node, i) => i === 0 || nodes[i - 1].compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING);

  const into = (parent, node, before) =>
    node.isConnected && parent.moveBefore ? parent.moveBefore(node, before) : parent.insertBefore(node, before);

  /** Bring `wanted` into order with few moves, and none of an element that holds the focus or something open. */
  function place(parent, wanted, keyed) {
    const passed = (node) => { while (node && ((keyed && isBlank(node)) || node.classList?.contains("leaving"))) node = node.nextSibling; return node; };
    const isFixed = (node) => node.nodeType === 1 && (node.contains(document.activeElement) || isOpen(node));
    let changed = false;
    let cursor = passed(parent.firstChild);
    for (const node of wanted) {
      if (node === cursor) {
        cursor = passed(cursor.nextSibling);
        continue;
      }
      changed = true;
      if (node.parentNode === parent && isFixed(node)) {
        while (cursor && cursor !== node) {
          const next = passed(cursor.nextSibling);
          into(parent, cursor, node.nextSibling);
          cursor = next;
        }
        cursor = passed(node.nextSibling);
      } else if (cursor && passed(cursor.nextSibling) === node && !isFixed(cursor)) {
        const late = cursor;
        cursor = passed(node.nextSibling);
        into(parent, late, null);
        cursor ??= late;
      } else {
        into(parent, node, cursor);
      }
    }
    return changed;
  }

  // ------------------------------------------------------------ rows that come, change, stay and leave

  function mark(row, name) {
    row.classList.remove("changed", "arrived");
    void row.offsetWidth; // begin the animation anew
    row.classList.add(name);
    clearTimeout(row.markTimer);
    row.markTimer = setTimeout(() => row.classList.remove(name), 1700);
  }

  function arrive(fresh, isList) {
    const node = document.importNode(fresh, true);
    if (isList && isRow(node)) mark(node, "arrived");
    if (node.nodeType === 1) arrivals.push(node);
    return node;
  }
  let arrivals = [];

  function stay(row) {
    gone.delete(row);
    if (!row.classList.contains("gone") && !row.classList.contains("leaving")) return;
    row.classList.remove("gone", "leaving");
    for (const control of row.querySelectorAll("[data-off]")) {
      control.removeAttribute("aria-disabled");
      control.removeAttribute("data-off");
    }
  }

  function markGone(row) {
    if (row.classList.contains("gone")) return;
    row.classList.add("gone");
    for (const control of row.querySelectorAll("button, a[href]")) {
      control.setAttribute("aria-disabled", "true");
      control.setAttribute("data-off", "");
    }
    notice(row);
  }

  /** Take a node out, or keep it, marked, while somebody is at it; true if it left. */
  function leave(node) {
    if (node.nodeType !== 1) { node.remove(); return true; }
    if (isBusyWith(node)) {
      gone.add(node);
      if (isRow(node)) markGone(node);
      return false;
    }
    gone.delete(node);
    if (!isRow(node)) { node.remove(); return true; }
    notice(node);
    const focused = node.contains(document.activeElement);
    if (focused) (node.nextElementSibling ?? node.previousElementSibling ?? document.getElementById("main"))?.querySelector("a, button")?.focus({ preventScroll: true });
    if (calm()) { node.remove(); return true; }
    node.classList.add("leaving");
    setTimeout(() => { if (node.classList.contains("leaving")) node.remove(); }, 300);
    return true;
  }

  // Said once for each row: that its time was up, or that it left before.
  function notice(row) {
    if (row.noticed) return;
    row.noticed = true;
    const deadline = Number(row.querySelector("[data-deadline]")?.dataset.deadline ?? 0);
    const inTime = deadline <= (tideline.now?.() ?? Date.now()) + 1500;
    const words = inTime ? row.dataset.leaveNotice : own ? "" : row.dataset.earlyNotice;
    const link = inTime ? { href: row.dataset.leaveHref, verb: row.dataset.leaveVerb } : {};
    if (words) notices.push({ words, ...link });
  }

  function say() {
    const said = notices;
    notices = [];
    for (const { words, href, verb } of said.slice(0, 3)) tideline.toast?.(words, { tone: "warn", href, verb });
    if (said.length > 3) tideline.toast?.(`${said.length - 3} more have left this list.`, { tone: "warn" });
  }

  // ------------------------------------------------------------ waiting for the pointer

  function hold(list, fresh, matches, freshes, leaving) {
    const last = matches.findLastIndex(Boolean);
    for (const node of leaving) if (isRow(node)) markGone(node);
    const waiting = leaving.length + matches.slice(0, last + 1).filter((match) => !match).length;
    // What comes after the last row moves nothing, so it need not wait.
    if (inOrder(matches.filter(Boolean))) {
      for (const tail of freshes.slice(last + 1)) list.append(arrive(tail, true));
    }
    held.set(list, { fresh: fresh.cloneNode(true), waiting: Math.max(waiting, 1) });
    tellHeld();
  }

  function tellHeld() {
    const state = document.querySelector(".state");
    let words = document.getElementById("held");
    const waiting = [...held.values()].reduce((sum, one) => sum + one.waiting, 0);
    if (!waiting) return words?.remove();
    if (!words && state) {
      words = document.createElement("span");
      words.id = "held";
      words.className = "held";
      words.title = "Rows do not move under the pointer. They follow when it leaves the list.";
      state.prepend(words);
    }
    if (words) words.textContent = waiting === 1 ? "1 change waits" : `${waiting} changes wait`;
  }

  function release() {
    for (const [list, { fresh }] of [...held]) {
      if (!list.isConnected) held.delete(list);
      else if (!isPointedAt(list)) {
        held.delete(list);
        mergeChildren(list, fresh);
      }
    }
    for (const node of [...gone]) {
      if (!node.isConnected) gone.delete(node);
      else if (!isBusyWith(node) && !isPointedAt(node.parentElement)) leave(node);
    }
    finish();
    tellHeld();
  }

  function finish() {
    const fresh = arrivals.filter((node) => node.isConnected);
    arrivals = [];
    say();
    tideline.tick?.();
    tideline.countPicked?.();
    tideline.markStale?.();
    return fresh;
  }

  // A row that has left keeps its place for a moment; its verbs do not work any more.
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-row].gone [data-off]")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    tideline.toast?.("That has left the list. It goes when the pointer does.", { tone: "warn" });
  }, true);

  // ------------------------------------------------------------ the answer

  /** The regions of an answer: its top-level elements, or, of a whole page, what the frame and its main hold. */
  function regionsOf(answer) {
    const main = answer.querySelector("#main");
    if (!main) return [...answer.children].filter((element) => element.id);
    const frame = ["nav", "me", "act-token", "as-of", "toasts"].map((id) => answer.querySelector(`#${id}`));
    return [...main.querySelectorAll(":scope > [data-region][id]"), ...frame.filter(Boolean)];
  }

  tideline.mergeAnswer = (answer, { ownAction = false } = {}) => {
    own = ownAction;
    try {
      const main = document.getElementById("main");
      const regions = regionsOf(answer);
      const ids = new Set(regions.map((region) => region.id));
      let previous = null;
      for (const region of regions) {
        const here = document.getElementById(region.id);
        if (region.id === "toasts") tideline.addToasts?.(region);
        else if (region.id === "as-of") tideline.answered?.(Number(region.dataset.now));
        else if (here) merge(here, region);
        else if (main && region.hasAttribute("data-region")) (previous ? previous.after.bind(previous) : main.prepend.bind(main))(arrive(region, false));
        const now = document.getElementById(region.id);
        if (now?.parentElement === main) previous = now;
      }
      if (previous) for (const old of [...main.children]) if (old.hasAttribute("data-region") && old.id && !ids.has(old.id)) leave(old);
      return finish();
    } finally {
      own = false;
    }
  };

  window.htmx?.defineExtension("rows", {
    isInlineSwap: (style) => style === "rows",
    handleSwap(style, target, fragment, settle) {
      if (style !== "rows") return false;
      return tideline.mergeAnswer(fragment, { ownAction: tideline.acting === true });
    },
  });
})();
