/* One timer for every clock on the page: countdowns, "5 min ago", and the time the page is true as of.
   All are reckoned from the server's clock, so a wrong clock in the browser does not lie. */
(() => {
  "use strict";
  const MINUTE = 60_000, HOUR = 3_600_000, DAY = 86_400_000;
  const tideline = (window.tideline ??= {});
  const root = document.documentElement;
  let offset = 0; // server minus browser, ms

  tideline.now = () => Date.now() + offset;
  tideline.setClock = (ms) => { if (Number(ms) > 0) offset = Number(ms) - Date.now(); };

  const two = (n) => String(n).padStart(2, "0");

  // These three, and tone() below, say the same as templatetags/tideline.py.
  function clockText(left) {
    if (left <= 0) return "ended";
    const s = Math.ceil(left / 1000);
    if (s >= 86_400) return daysText(Math.floor(s / 3600));
    if (s >= 3600) return `${Math.floor(s / 3600)}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`;
    return `${Math.floor(s / 60)}:${two(s % 60)}`;
  }

  function longText(span) {
    if (span < MINUTE) return `${Math.floor(Math.max(span, 0) / 1000)} s`;
    if (span < HOUR) return `${Math.floor(span / MINUTE)} min`;
    if (span < 2 * DAY) return `${Math.floor(span / HOUR)} h ${Math.floor((span % HOUR) / MINUTE)} min`;
    return daysText(Math.floor(span / HOUR));
  }

  function daysText(hours) {
    const days = Math.floor(hours / 24), rest = days < 30 ? hours % 24 : 0;
    const parts = days >= 730 ? [[Math.floor(days / 365), "y"], [days % 365, "d"]] : [[days, "d"], [rest, "h"]];
    return parts.filter(([number]) => number).map(([number, unit]) => `${number} ${unit}`).join(" ");
  }

  function tone(left, lifetime, warnAt) {
    const red = lifetime > DAY ? lifetime / 50 : MINUTE;
    const amber = warnAt ?? Math.max(3 * MINUTE, lifetime / 5);
    return left <= 0 ? "ended" : left < red ? "bad" : left < amber ? "warn" : "ok";
  }

  const TONES = ["ok", "warn", "bad", "ended"];
  const setTone = (element, name) => {
    if (element.classList.contains(name)) return;
    element.classList.remove(...TONES);
    element.classList.add(name);
  };
  const setText = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  function title(deadline) {
    const at = new Date(deadline);
    const zone = root.dataset.zone || undefined;
    const local = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium", timeZone: zone }).format(at);
    return `Ends ${at.toISOString().slice(0, 19).replace("T", " ")} UTC, ${local} here`;
  }

  function tickOne(element, now) {
    const deadline = Number(element.dataset.deadline);
    if (!deadline) return;
    const lifetime = Number(element.dataset.lifetime) || 0;
    const left = deadline - now;
    const name = tone(left, lifetime, element.dataset.warn ? Number(element.dataset.warn) : undefined);
    const words = "words" in element.dataset && left > 0;
    setText(element.querySelector(".digits") || element, words ? longText(left) : clockText(left));
    setTone(element, name);

    const row = element.closest("[data-row]");
    if (row && row.querySelector("[data-deadline]") === element) setTone(row, name);

    const ring = element.querySelector(".ring .left");
    if (ring && lifetime) {
      const share = Math.min(100, Math.max(0, (100 * left) / lifetime)).toFixed(left < 10 * MINUTE ? 1 : 0);
      if (!ring.getAttribute("stroke-dasharray").startsWith(`${share} `)) ring.setAttribute("stroke-dasharray", `${share} 100`);
    }
    if (element.tickTitle !== deadline) {
      element.title = title(deadline);
      element.tickTitle = deadline;
    }
    // The tick only suspects an end; the server's answer says it. Asked once for each deadline.
    if (left <= 0 && element.tickEnded !== deadline) {
      element.tickEnded = deadline;
      document.dispatchEvent(new CustomEvent("tideline:ended", { detail: { element, row } }));
    }
  }

  tideline.tick = (within = document) => {
    const now = tideline.now();
    for (const element of within.querySelectorAll("[data-deadline]")) tickOne(element, now);
    for (const element of within.querySelectorAll("[data-since]")) {
      const passed = now - Number(element.dataset.since);
      setText(element, passed < MINUTE ? "just now" : `${longText(passed)} ago`);
    }
  };

  // "as of": runs with the server's clock while the page is known to be true, stands still while it is not.
  let hours = null;
  tideline.clock = (ms) => {
    hours ??= new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: root.dataset.zone || undefined });
    return hours.format(new Date(ms));
  };
  tideline.asOf = () => {
    const element = document.getElementById("as-of");
    if (element) setText(element, tideline.clock(tideline.now()));
  };

  tideline.setClock(root.dataset.now);
  tideline.tick();

  // On the server's full second, so that all digits turn together.
  (function turn() {
    if (document.visibilityState === "visible") {
      tideline.tick();
      if (tideline.isTrue?.()) tideline.asOf();
    }
    setTimeout(turn, 1000 - (tideline.now() % 1000) + 5);
  })();
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") tideline.tick(); });
})();
