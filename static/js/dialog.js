// A link with `data-dialog="/url"` opens that fragment in the page's <dialog>. Without this it is a link.
// Whatever carries `data-close` inside closes it; so does Escape, and so does an answer that went elsewhere. What is
// still on the wire then is shown in it as well, until it has settled.
(() => {
  const dialog = document.getElementById("dialog");
  let opener = null;
  // Id of what the answer has replaced on the page.
  let answered = null;

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-dialog]");
    if (link && event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      [opener, answered] = [link.dataset.dialog, null];
      htmx.ajax("GET", opener, { source: link, target: "#dialog", swap: "innerHTML" });
    } else if (event.target.closest("#dialog [data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });

  const asks = (event) => dialog.open && dialog.contains(event.detail.requestConfig?.elt);

  // The order is under way, and the question no longer is one.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const doing = asks(event) && event.detail.requestConfig.elt.dataset.doing;
    if (doing) document.getElementById("dialog-title").textContent = doing;
  });

  // What the answer replaces may have been drawn anew meanwhile, by what the stream told.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { target } = event.detail;
    if (target?.id && !target.isConnected) event.detail.target = document.getElementById(target.id) ?? target;
  });

  // The same words and numbers as on the page, as long as it says that something is in flight.
  const follow = () => {
    const there = document.getElementById(answered);
    const flying = there?.querySelector(".inflight:not([data-settled])");
    if (!flying) return dialog.close();
    const list = flying.nextElementSibling?.matches("ul") ? flying.nextElementSibling : null;
    const close = dialog.querySelector(".toolbar") ?? document.createElement("div");
    if (!close.querySelector("[data-close]:only-child")) {
      close.className = "toolbar";
      close.innerHTML = `<button class="button" type="button" data-close>Close</button>`;
    }
    dialog.replaceChildren(document.getElementById("dialog-title"), flying.cloneNode(true), ...(list ? [list.cloneNode(true)] : []), close);
    if (!dialog.contains(document.activeElement)) close.firstElementChild.focus();
  };

  document.addEventListener("htmx:afterSwap", (event) => {
    const { target } = event.detail;
    if (target === dialog) {
      if (!dialog.open) dialog.showModal();
    } else if (dialog.open && answered) {
      follow();
    }
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, target } = event.detail;
    if (!asks(event) || target === dialog || xhr.getResponseHeader("HX-Redirect")) return;
    answered = target?.id || null;
    // A problem is told on the page, behind the question.
    if (answered && xhr.status >= 200 && xhr.status < 300) follow();
    else dialog.close();
  });

  // The opener may have been drawn anew meanwhile, so it is looked up by what it opens; where it is gone, the focus
  // lands on what was opened for. This comes a moment after the dialog went: a key pressed since then may have led
  // elsewhere already.
  dialog.addEventListener("close", () => {
    dialog.replaceChildren();
    const there = document.getElementById(answered);
    answered = null;
    if (document.activeElement !== document.body) return;
    const again = document.querySelector(`[data-dialog="${CSS.escape(opener ?? "")}"]`);
    if (again) again.focus();
    else there?.dispatchEvent(new CustomEvent("bugle:land", { bubbles: true }));
  });
})();
