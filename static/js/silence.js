// Says since when a page that moves by itself stands still because Bugle cannot be reached, and brings it up to date
// once it can be. What is stale is grey as long as that is said.
(() => {
  /** The stream says at least this often that it is there; a line that breaks without a word is noticed by that. */
  const BEAT = 15_000;
  let since = null;
  let heard = null;
  const place = () => document.getElementById("silence");

  const fallSilent = (at) => {
    if (!place() || since) return;
    since = at;
    const time = since.toLocaleTimeString("en-GB");
    place().innerHTML = `<p class="note warn" role="status"><b>Not live since ${time}, reconnecting…</b>
      There is no connection to Bugle; what is being sent may go on.</p>`;
  };
  let asks = false;
  const catchUp = async () => {
    if (!since || asks) return;
    const before = place();
    asks = true;
    await htmx.ajax("GET", location.pathname + location.search, { target: "#campaigns", swap: "outerHTML" }).catch(() => {});
    asks = false;
    // A list that came anew says nothing of silence.
    if (place() !== before) since = null;
  };
  const hear = () => {
    heard = Date.now();
    catchUp();
  };

  document.addEventListener("htmx:sseError", () => fallSilent(new Date()));
  document.addEventListener("htmx:sseOpen", (event) => {
    event.detail.source.addEventListener("beat", hear);
    hear();
  });
  setInterval(() => {
    if (heard && Date.now() - heard > 2 * BEAT + 5_000) fallSilent(new Date(heard));
  }, 1_000);
})();
