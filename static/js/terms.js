/* Definitions open on hover and on the keyboard's focus, too; a press keeps one open. Without this a press opens them. */
(() => {
  const hintOf = (target) => {
    const button = target instanceof Element ? target.closest("[data-term]") : null;
    return button && [button, document.getElementById(button.getAttribute("popovertarget"))];
  };
  let waiting = 0;

  function open([button, hint], pause) {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (hint?.isConnected && !hint.matches(":popover-open")) {
        hint.dataset.peek = "";
        hint.showPopover({ source: button });
      }
    }, pause);
  }

  function close(hint) {
    clearTimeout(waiting);
    if (hint?.matches(":popover-open") && "peek" in hint.dataset) hint.hidePopover();
  }

  document.addEventListener("pointerover", (event) => {
    const found = event.pointerType === "mouse" && hintOf(event.target);
    if (found) open(found, 250);
  });
  document.addEventListener("pointerout", (event) => {
    const found = hintOf(event.target);
    // Over to the definition itself is no leaving: it can be read with the pointer on it.
    if (found && !found[1]?.contains(event.relatedTarget)) close(found[1]);
    const hint = event.target instanceof Element ? event.target.closest(".hint") : null;
    if (hint && !hint.contains(event.relatedTarget)) close(hint);
  });
  document.addEventListener("focusin", (event) => {
    const found = event.target.matches?.(":focus-visible") && hintOf(event.target);
    if (found) open(found, 0);
  });
  document.addEventListener("focusout", (event) => {
    const found = hintOf(event.target);
    if (found) close(found[1]);
  });
  // A press on what hovering opened keeps it: the browser would close it.
  document.addEventListener("click", (event) => {
    const found = hintOf(event.target);
    if (found && found[1] && "peek" in found[1].dataset) {
      delete found[1].dataset.peek;
      if (found[1].matches(":popover-open")) event.preventDefault();
    }
  }, true);
  document.addEventListener("toggle", (event) => {
    if (event.newState === "closed" && event.target instanceof HTMLElement) delete event.target.dataset.peek;
  }, true);
})();
