/* Buttons that copy a text of the page: <button data-copy="the-id" hidden>. Without JavaScript they stay hidden, and the
   text can be marked by hand. */
(() => {
  "use strict";
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    const text = button && document.getElementById(button.dataset.copy);
    if (!text) return;
    try {
      await navigator.clipboard.writeText(text.textContent);
      tideline.toast("Copied.");
    } catch {
      // Only over TLS, or on this machine, may a page write there.
      getSelection().selectAllChildren(text);
      tideline.toast("It is marked: copy it by the keyboard.", { tone: "warn" });
    }
  });

  // A link to an operation opens it.
  const open = () => { const fold = document.getElementById(location.hash.slice(1)); if (fold?.matches("details")) fold.open = true; };
  addEventListener("hashchange", open);
  open();
})();
