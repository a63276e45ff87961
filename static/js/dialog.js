// A link with `data-dialog="/url"` opens that fragment in the page's <dialog>. Without this it is a link.
// Whatever carries `data-close` inside closes it; so does Escape, and so does an answer that went elsewhere.
(() => {
  const dialog = document.getElementById("dialog");
  let opener = null;

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-dialog]");
    if (link && event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      opener = link.dataset.dialog;
      htmx.ajax("GET", opener, { source: link, target: "#dialog", swap: "innerHTML" });
    } else if (event.target.closest("#dialog [data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    const { target, requestConfig } = event.detail;
    if (target === dialog) {
      if (!dialog.open) dialog.showModal();
    } else if (dialog.open && dialog.contains(requestConfig?.elt)) {
      dialog.close();
    }
  });

  // The opener may have been drawn anew meanwhile, so it is looked up by what it opens. This comes a moment after
  // the dialog went: a key pressed since then may have led elsewhere already.
  dialog.addEventListener("close", () => {
    dialog.replaceChildren();
    if (document.activeElement !== document.body) return;
    document.querySelector(`[data-dialog="${CSS.escape(opener ?? "")}"]`)?.focus();
  });
})();
