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
    close.dataset.icon = "close";
    close.setAttribute("aria-label", "Close this message");
    close.addEventListener("click", clear);
    problem.append(close);
  };

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === notice) withClose();
    else if (event.detail.requestConfig && event.detail.requestConfig.verb !== "get") clear();
  });
  document.addEventListener("htmx:sendError", () => {
    notice.innerHTML = `<section class="problem" role="alert"><h2>No connection to Bugle</h2>
      <p>It cannot be said whether that was done. Check the connection, then reload the page.</p></section>`;
    withClose();
  });
})();
