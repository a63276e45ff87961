// A problem stays until it is closed or something else has worked; a lost connection is a problem too.
(() => {
  const notice = document.getElementById("notice");
  const clear = () => notice.replaceChildren();

  const withClose = () => {
    const problem = notice.querySelector(".problem");
    if (!problem || problem.querySelector(".notice-close")) return;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "icon-button notice-close";
    // Drawn here: what a lost connection is told with cannot be fetched any more.
    close.innerHTML = `<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="M4 4l8 8M12 4l-8 8" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"/></svg>`;
    close.setAttribute("aria-label", "Close this message");
    close.addEventListener("click", clear);
    problem.append(close);
  };

  // Who leaves the page gives up what is under way, and that is no error.
  const underWay = new Set();
  document.addEventListener("htmx:beforeSend", (event) => {
    const { xhr } = event.detail;
    underWay.add(xhr);
    xhr.addEventListener("loadend", () => underWay.delete(xhr));
  });
  addEventListener("pagehide", () => {
    for (const xhr of underWay) xhr.onabort = xhr.onerror = null;
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === notice) withClose();
    else if (event.detail.requestConfig && event.detail.requestConfig.verb !== "get") clear();
  });
  document.addEventListener("htmx:sendError", (event) => {
    const { verb, triggeringEvent } = event.detail.requestConfig ?? {};
    // What a page looks up by itself is asked for again by itself.
    if (verb === "get" && triggeringEvent?.type !== "click") return;
    const says = verb === "get"
      ? "Nothing was changed. Try again when the connection is back."
      : "It cannot be said whether that was done. Check the connection, then reload the page.";
    notice.innerHTML = `<section class="problem" role="alert"><h2>No connection to Bugle</h2><p>${says}</p></section>`;
    withClose();
  });
})();
