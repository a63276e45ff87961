// Says since when a page that moves by itself stands still because Bugle cannot be reached.
(() => {
  let since = null;
  const place = () => document.getElementById("silence");

  document.addEventListener("htmx:sseError", () => {
    if (!place() || since) return;
    since = new Date();
    const time = since.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    place().innerHTML = `<p class="note warn" role="status"><b>These numbers are of ${time}.</b>
      There is no connection to Bugle; what is being sent may go on. This page comes back by itself.</p>`;
  });
  document.addEventListener("htmx:sseOpen", () => {
    if (since && place()) place().replaceChildren();
    since = null;
  });
})();
