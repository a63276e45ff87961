// Files in the widget: comes when the chat is opened for the first time, beside the widget, whose tools it is given.
export default (base, told, log, el, icon, bubble, note, put, read, hello, send) => {
  const why = async (answer) => (await answer.json().catch(() => ({}))).error ?? "";
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(".clip{flex:none;width:44px;border-radius:22px;color:var(--soft)}.say a{color:inherit}.say img{display:block;max-width:100%;max-height:220px;border-radius:10px}");
  log.getRootNode().adoptedStyleSheets.push(sheet);

  // What we say: a line that leads to a file of ours is that file.
  const ours = new RegExp("^https?://[^ ]+/media/[0-9a-f]{32}/([^ /]+)$");
  const drawn = new RegExp("[.](png|jpe?g|gif|webp)$");
  const piece = (line, n) => {
    const url = line.trim();
    const found = url.match(ours);
    if (!found) return (n ? "\n" : "") + line;
    const called = decodeURIComponent(found[1]);
    const shown = drawn.test(url) ? el("img", { src: url, alt: called }) : called;
    return el("a", { href: url, target: "_blank", rel: "noopener" }, shown);
  };
  const draw = () => {
    for (const it of log.querySelectorAll(".say:not(.mine) p:not([data-drawn])")) {
      it.dataset.drawn = "";
      if (it.textContent.includes("/media/")) it.replaceChildren(...it.textContent.split("\n").map(piece));
    }
  };
  new MutationObserver(draw).observe(log, { childList: true });
  draw();

  // What the visitor brings is sent at once, or not at all: it is not kept for later.
  const bring = async (file) => {
    const mine = bubble("", file.name);
    put(mine);
    const failed = (words) => note(mine, `Not sent. ${words}`, "failed");
    if (file.size > told.largest) return failed(`It is larger than ${told.largest / 1048576} MB.`);
    note(mine, "Sending…", "waiting");
    const body = new FormData();
    body.append("file", file, file.name);
    try {
      const known = read("token") ? null : await hello();
      if (known && !known.ok) return failed(await why(known));
      const headers = { Authorization: `Bearer ${read("token")}` };
      const answer = await fetch(`${base}media`, { method: "POST", body, headers, cache: "no-store", credentials: "omit" });
      if (!answer.ok) return failed(await why(answer));
      const { key, name } = await answer.json();
      mine.remove();
      send({ text: "", file: key, name });
    } catch {
      failed(told.offline);
    }
  };
  const field = el("input", { type: "file", class: "away", tabindex: "-1", "aria-hidden": "true" });
  const clip = el("button", { type: "button", class: "clip", "aria-label": "Send a file" },
    icon("M20 11.5l-8 8a5 5 0 0 1-7-7l8.5-8.5a3.3 3.3 0 0 1 4.7 4.7l-8.3 8.3a1.6 1.6 0 0 1-2.3-2.3l7.2-7.2"));
  clip.addEventListener("click", () => field.click());
  field.addEventListener("change", () => {
    for (const it of field.files) bring(it);
    field.value = "";
  });
  log.parentNode.querySelector("form").prepend(clip, field);
};
