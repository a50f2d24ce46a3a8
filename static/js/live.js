/* Keeps the page true: follows the stream of changes and asks for the page's own regions again, at most once a second
   and only while somebody looks. Says in words whether what is shown is live, and sends verbs in the background. */
(() => {
  "use strict";
  const { htmx } = window;
  const tideline = (window.tideline ??= {});
  const root = document.documentElement;
  const main = document.getElementById("main");
  const badge = document.getElementById("live");
  if (!main || !badge || !htmx) return;

  const areas = main.dataset.areas.split(",").map((area) => area.trim()).filter(Boolean);
  const PACE = 1000; // between two asks
  const FALLBACK = 5000; // between two asks without a stream
  const CHECK = 60_000; // an ask without a reason: what no event told of is found out
  const GREETING = 10_000; // to wait for the first word of a stream
  const QUIET = 25_000; // without a word, though the server has one every 10 s: the connection is open on this side only
  const AWAY = 5000; // a hidden page gives its connection back: browsers allow six to a host

  // ------------------------------------------------------------ what the top bar says

  const WORDS = { still: "Not live", live: "Live", reconnecting: "Reconnecting", asking: "Every 5 s", down: "Store down" };
  let state = "still", down = false, over = false;

  function show(next) {
    state = next;
    const shown = down ? "down" : state;
    if (badge.dataset.state !== shown) {
      badge.dataset.state = shown;
      badge.textContent = WORDS[shown];
    }
  }
  tideline.isTrue = () => state === "live" && !down && !over;

  // ------------------------------------------------------------ a store that is away

  const banner = document.getElementById("store-banner");

  function setBanner(words, tone = "") {
    banner.className = `banner ${tone}`.trim();
    banner.hidden = !words;
    banner.querySelector("span").textContent = words;
  }

  function setDown(next) {
    if (down === next || over) return;
    down = next;
    root.toggleAttribute("data-stale", down);
    setBanner(down ? `The data store is away. What you see is from ${document.getElementById("as-of").textContent}. Nothing can be saved until it is back; this page goes on by itself.` : "");
    tideline.markStale();
    show(state);
    if (!down) tideline.toast("The data store is back.");
  }

  // Verbs are off, but can still be reached by the keyboard, and say why.
  const isWrite = (button) => button.form?.method === "post" && button.type === "submit" && button.form.id !== "theme";
  tideline.markStale = () => {
    for (const button of document.querySelectorAll("button")) {
      if (down && isWrite(button) && !button.hasAttribute("aria-disabled")) {
        button.setAttribute("aria-disabled", "true");
        button.dataset.stale = "";
        if (!button.title) button.title = "The data store is away: nothing can be saved.";
      } else if (!down && "stale" in button.dataset) {
        button.removeAttribute("aria-disabled");
        if (button.title.startsWith("The data store")) button.removeAttribute("title");
        delete button.dataset.stale;
      }
    }
  };

  // What the page shows has ended: it stays readable, marked, and nothing is asked again.
  function setOver(words) {
    over = true;
    root.toggleAttribute("data-stale", true);
    setBanner(words, "warn");
    badge.dataset.state = "still";
    badge.textContent = "Ended";
    close();
  }

  // ------------------------------------------------------------ asking again

  let wanted = false, asking = false, leaving = false, last = -Infinity, paceTimer = 0;

  function ask() {
    wanted = areas.length > 0;
    pump();
  }

  function pump() {
    if (!wanted || asking || leaving || over || tideline.acting || document.hidden) return;
    const wait = last + PACE - performance.now();
    if (wait > 0) {
      paceTimer ||= setTimeout(() => { paceTimer = 0; pump(); }, wait);
      return;
    }
    wanted = false;
    asking = true;
    last = performance.now();
    htmx.trigger(main, "refresh");
  }

  /** An answer came: the page is true as of then. */
  tideline.answered = (ms) => {
    tideline.setClock?.(ms);
    tideline.asOf?.();
    setDown(false);
  };

  main.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt !== main) return;
    asking = false;
    if (event.detail.successful) misses = 0;
    pump();
  });
  document.addEventListener("tideline:ended", () => setTimeout(ask, 250)); // a moment for the store to let go of it
  setInterval(ask, CHECK);

  // ------------------------------------------------------------ the stream

  let stream = null, misses = 0, retryTimer = 0, fallbackTimer = 0, silence = 0;

  function open() {
    close();
    stream = new EventSource(`/live?areas=${encodeURIComponent(areas.join(","))}`);
    listen(GREETING);
    for (const name of ["hello", "change", "beat", "store"]) stream.addEventListener(name, () => listen(QUIET));
    stream.addEventListener("beat", heard);
    stream.addEventListener("hello", (event) => {
      heard(event);
      misses = 0;
      clearInterval(fallbackTimer);
      fallbackTimer = 0;
      show("live");
      ask(); // what changed between this page's rendering, or the loss of the stream, and now
    });
    stream.addEventListener("change", (event) => {
      const { areas: changed = [] } = heard(event);
      if (changed.some((area) => areas.includes(area))) ask();
    });
    stream.addEventListener("store", (event) => {
      misses = 0; // the server is there, it is the store that is not
      setDown(event.data === "down");
      if (event.data === "up") ask();
    });
    stream.addEventListener("signed-out", signIn);
    stream.addEventListener("error", missed);
  }

  function listen(patience) {
    clearTimeout(silence);
    silence = setTimeout(missed, patience);
  }

  function heard(event) {
    let data = {};
    try { data = JSON.parse(event.data); } catch { /* an event we do not know */ }
    if (data.now) tideline.setClock?.(data.now);
    return data;
  }

  function close() {
    clearTimeout(silence);
    clearTimeout(retryTimer);
    stream?.close();
    stream = null;
  }

  // Try again soon, then slower; after two misses ask every few seconds meanwhile.
  function missed() {
    close();
    if (over) return;
    misses += 1;
    retryTimer = setTimeout(open, Math.min(400 * 2 ** misses, 5000) * (0.75 + Math.random() / 2));
    if (misses >= 2 && areas.length && !fallbackTimer) {
      fallbackTimer = setInterval(ask, FALLBACK);
      ask();
    }
    show(fallbackTimer && !unreachable ? "asking" : "reconnecting");
  }

  function signIn() {
    close();
    over = true;
    if (leaving) return; // for somewhere already
    location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.search)}&ended=1`);
  }

  // ------------------------------------------------------------ who looks

  let awayTimer = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(awayTimer);
    if (document.hidden) awayTimer = setTimeout(() => { close(); show("still"); }, AWAY);
    else if (!stream && !over) { show("reconnecting"); open(); ask(); }
    else pump();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    leaving = asking = false;
    if (!over) open();
  });
  addEventListener("online", () => { if (!over) { misses = 0; open(); } });

  // ------------------------------------------------------------ answers that are not what was hoped for

  let unreachable = false;
  const parsed = (xhr) => new DOMParser().parseFromString(xhr.response || "", "text/html");
  const words = (xhr, otherwise) => parsed(xhr).querySelector("[data-message]")?.textContent.trim() || otherwise;
  const OTHERWISE = {
    400: "That was not understood. Nothing was changed.",
    403: "Your role does not allow this. Nothing was changed.",
    404: "That is not there any more.",
    409: "Somebody else was faster. Nothing was changed.",
    410: "Its time was up. Nothing was changed.",
    503: "The data store is away. Nothing was saved.",
  };

  document.addEventListener("htmx:responseError", (event) => {
    const { xhr, elt } = event.detail;
    if (xhr.getResponseHeader("HX-Redirect")) return;
    if (xhr.status === 503) setDown(true);
    if (elt === main) {
      if (xhr.status === 404 || xhr.status === 410) setOver(`${words(xhr, "This is not there any more.")} What you see is from ${document.getElementById("as-of").textContent}.`);
      else if (xhr.status === 503 && state === "live") setTimeout(ask, FALLBACK);
      return;
    }
    tideline.addToasts(parsed(xhr).getElementById("toasts"));
    tideline.toast(words(xhr, OTHERWISE[xhr.status] ?? `The server could not do that (${xhr.status}). Look before you repeat it.`), { tone: "bad" });
    ask();
  });

  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      unreachable = true;
      if (!stream) show("reconnecting");
      if (event.detail.elt !== main) tideline.toast("The server cannot be reached. Whether that was done is not known: look before you repeat it.", { tone: "bad" });
    });
  }
  document.addEventListener("htmx:afterOnLoad", () => { unreachable = false; if (fallbackTimer) show("asking"); });

  document.addEventListener("htmx:beforeOnLoad", (event) => { if (leaving) event.preventDefault(); });

  // An answer for another address is another page: go there, and say there what it had to say.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, requestConfig, isError } = event.detail;
    if (isError || !xhr.responseURL) return;
    const path = (address) => new URL(address, location.href).pathname;
    const ended = path(xhr.responseURL);
    if (ended === location.pathname || ended === path(requestConfig.path)) return;
    event.detail.shouldSwap = false;
    tideline.carryToasts(parsed(xhr).getElementById("toasts"));
    location.assign(xhr.responseURL);
  });

  // ------------------------------------------------------------ verbs

  // In the capture phase: before the frame's own listener, which looks after forms that do load a page.
  document.addEventListener("submit", (event) => {
    const form = event.target, button = event.submitter;
    if (form.method !== "post" || form.id === "theme") return;
    if (down) {
      event.preventDefault();
      event.stopPropagation();
      tideline.toast("The data store is away. Nothing was saved; what you typed stays here.", { tone: "bad" });
      return;
    }
    if (!form.matches("[data-act]")) {
      // The page goes. Signing out ends the session before it has gone: that news would lead elsewhere.
      leaving = true;
      return;
    }
    event.preventDefault();
    if (tideline.acting) return;
    tideline.acting = true;
    button?.setAttribute("aria-busy", "true");
    button?.closest(":popover-open")?.hidePopover();
    htmx.trigger(main, "htmx:abort"); // an answer from before this action would show the past
    const settled = () => {
      tideline.acting = false;
      button?.removeAttribute("aria-busy");
      asking = false;
      pump();
    };
    htmx.ajax("POST", button?.getAttribute("formaction") ?? form.getAttribute("action"), {
      source: form, target: main, swap: "rows", values: new FormData(form, button),
    }).then(settled, settled);
  }, true);

  // ------------------------------------------------------------ begin

  show("reconnecting");
  badge.textContent = "Connecting";
  open();
})();
