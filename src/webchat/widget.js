// The chat widget as other people's pages hold it: one script without anything else, all of it in a
// shadow root. What people wrote is only ever text, never markup. Served without indentation and
// without the lines that are remarks; see web.rs, which calls this with the channel's settings.
(told) => {
  "use strict";
  const base = new URL("./", document.currentScript.src).href;
  const name = `bugle-webchat:${base}:`;
  if (document.documentElement.dataset.bugleWebchat === base) return;
  document.documentElement.dataset.bugleWebchat = base;

  // Where it is forbidden, what is kept lasts as long as the page.
  const kept = (() => {
    try {
      localStorage.setItem(`${name}try`, "1");
      localStorage.removeItem(`${name}try`);
      return localStorage;
    } catch {
      const map = new Map();
      return { getItem: (key) => map.get(key) ?? null, setItem: (key, it) => map.set(key, it), removeItem: (key) => map.delete(key) };
    }
  })();
  const keep = (key, value) => {
    try {
      if (value === null) kept.removeItem(name + key);
      else kept.setItem(name + key, value);
    } catch { /* full: the page itself still has it */ }
  };
  const read = (key) => kept.getItem(name + key);
  const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  const el = (tag, attributes = {}, ...inside) => {
    const it = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) it.setAttribute(key, value);
    it.append(...inside);
    return it;
  };
  const icon = (path) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    svg.append(line);
    return svg;
  };

  const count = el("span", { class: "count", hidden: "", "aria-hidden": "true" });
  const launch = el("button", { class: "launch", type: "button", "aria-haspopup": "dialog", "aria-expanded": "false" },
    icon("M21 12a8 8 0 0 1-11.6 7.2L4 21l1.8-5.2A8 8 0 1 1 21 12z"), count);
  const close = el("button", { type: "button", "aria-label": "Close the chat" }, icon("M6 6l12 12M18 6L6 18"));
  const lost = el("div", { class: "lost", hidden: "" }, told.offline);
  // Stays in the page, so that what is put into it is read out.
  const status = el("div", { role: "status" }, lost);
  const log = el("div", { class: "log", role: "log", "aria-label": "Messages", tabindex: "0", "aria-live": "off" });
  const text = el("textarea", { rows: "1", "aria-label": "Your message", placeholder: "Write a message", enterkeyhint: "send", maxlength: told.longest });
  const form = el("form", {}, text, el("button", { class: "send", "aria-label": "Send" }, icon("M12 19V5M5 12l7-7 7 7")));
  const panel = el("section", { class: "panel", role: "dialog", "aria-labelledby": "title", hidden: "" },
    el("div", { class: "head" }, el("h2", { id: "title" }, told.title), close), status, log, form);
  const choices = el("div", { class: "choices", role: "group", "aria-label": "Answers to choose from" });

  // What is said, in its order: by number, and what has none yet at the end.

  const byId = new Map();
  let last = 0;
  let newest = 0;
  let unread = 0;
  const isOpen = () => !panel.hidden;
  const numbered = (node) => Number(node.dataset.seq || Infinity);

  const bubble = (by, words) => {
    const it = el("div", { class: by === "us" ? "say" : "say mine" },
      el("span", { class: "away" }, by === "us" ? `${told.sender}: ` : "You: "), el("p", {}, words), el("small"));
    it.lastChild.hidden = true;
    return it;
  };
  const note = (it, words, state = "") => {
    it.dataset.state = state;
    if (it.lastChild.textContent !== words) it.lastChild.textContent = words;
    it.lastChild.hidden = !words;
  };
  const put = (it, seq) => {
    const low = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    const before = it.dataset.seq;
    if (seq) it.dataset.seq = seq;
    if (!it.isConnected || before !== it.dataset.seq) {
      const next = [...log.children].find((other) => other !== it && other !== choices && numbered(other) > numbered(it));
      if (!it.isConnected || (next && next !== it.nextSibling)) log.insertBefore(it, next ?? (choices.isConnected ? choices : null));
    }
    if (low || it.matches(".mine")) log.scrollTop = log.scrollHeight;
  };
  const time = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

  const offer = (words) => {
    choices.replaceChildren(...words.map((word) => {
      const it = el("button", { type: "button" }, word);
      it.addEventListener("click", () => {
        write(word);
        text.focus();
      });
      return it;
    }));
    if (words.length === 0) choices.remove();
    else log.append(choices);
  };

  const show = ({ seq, by, id, text: words, choices: offered, at }) => {
    if (seq <= last) return;
    last = seq;
    if (id && byId.has(id)) return sent(id, seq, at);
    const it = bubble(by, words);
    note(it, time(at));
    if (id) byId.set(id, it);
    put(it, seq);
    if (seq < newest) return;
    newest = seq;
    offer(by === "us" && waiting.length === 0 ? offered : []);
    if (offered.length > 0) log.scrollTop = log.scrollHeight;
    if (by === "us" && seq > Number(read("read") ?? 0)) isOpen() ? keep("read", seq) : unread++;
    label();
  };
  const label = () => {
    launch.setAttribute("aria-label", unread ? `${told.title}, ${unread} new` : told.title);
    count.textContent = unread > 99 ? "99+" : unread;
    count.hidden = unread === 0;
  };

  // We are not known any more: from here on we are somebody new.
  const forget = () => {
    for (const key of ["token", "read", "acked"]) keep(key, null);
    for (const it of [...log.children]) if (it.dataset.seq > 0) it.remove();
    last = newest = unread = 0;
    offer([]);
    label();
    cut?.abort();
  };

  // What is written waits here, and in the browser's store, until it is known to have arrived. It keeps
  // its name, so that it may be sent again: it arrives once.

  let waiting = [];
  let flushing = false;

  const sent = (id, seq, at) => {
    waiting = waiting.filter((it) => it.id !== id);
    keep(`wait:${id}`, null);
    const it = byId.get(id);
    newest = Math.max(newest, seq);
    note(it, time(at));
    put(it, seq);
  };
  const failed = (id, why) => {
    waiting = waiting.filter((it) => it.id !== id);
    keep(`wait:${id}`, null);
    note(byId.get(id), `Not sent. ${why}`, "failed");
  };
  const line = (it) => {
    if (byId.has(it.id)) return;
    waiting.push(it);
    const mine = bubble("", it.name ?? it.text);
    byId.set(it.id, mine);
    note(mine, "Sending…", "waiting");
    put(mine);
  };
  const send = (it) => {
    it = { id: newId(), n: Date.now(), ...it };
    keep(`wait:${it.id}`, JSON.stringify(it));
    offer([]);
    line(it);
    flush();
  };
  const write = (words) => words.trim() && send({ text: words.trim() });

  const ask = async (door, { body, signal, ms = 15000 } = {}) => {
    const headers = { };
    if (read("token")) headers.Authorization = `Bearer ${read("token")}`;
    if (body) headers["Content-Type"] = "application/json";
    const cut = new AbortController();
    const clock = setTimeout(() => cut.abort(), ms);
    signal?.addEventListener("abort", () => cut.abort());
    try {
      const answer = await fetch(base + door, { method: body ? "POST" : "GET", headers, cache: "no-store", credentials: "omit", signal: cut.signal, body: body && JSON.stringify(body) });
      if (answer.status >= 500) throw new Error(answer.status);
      return answer;
    } finally {
      clearTimeout(clock);
    }
  };
  const why = async (answer) => (await answer.json().catch(() => ({}))).error ?? "";

  const hello = async () => {
    const answer = await ask("visitors", { body: {} });
    if (!answer.ok) return answer;
    keep("token", (await answer.json()).token);
    live();
    return answer;
  };

  const flush = async () => {
    if (flushing) return;
    flushing = true;
    try {
      while (waiting.length > 0) {
        const body = waiting[0];
        const { id } = body;
        let answer = read("token") ? null : await hello();
        if (!answer || answer.ok) answer = await ask("messages", { body });
        if (answer.ok) {
          const { seq, at } = await answer.json();
          sent(id, seq, at);
          is(true);
        } else if (answer.status === 401 && read("token")) {
          forget();
        } else if (answer.status === 429) {
          const error = await why(answer);
          for (const it of waiting) note(byId.get(it.id), error, "waiting");
          await pause(Number(answer.headers.get("Retry-After") ?? 5) * 1000);
        } else {
          failed(id, await why(answer));
        }
      }
    } catch {
      for (const it of waiting) note(byId.get(it.id), "Waiting for the connection", "waiting");
      is(false);
      setTimeout(flush, 5000);
    } finally {
      flushing = false;
    }
  };

  // The line to us. It ends when it wants; then we ask for what comes after the last we have.

  let living = false;
  let cut = null;
  let wake = () => {};
  const is = (there) => { lost.hidden = there; };

  const acknowledge = () => {
    if (Number(read("acked") ?? 0) >= last) return;
    const seq = last;
    ask("ack", { body: { seq } }).then((answer) => answer.ok && keep("acked", seq)).catch(() => {});
  };

  const listen = async (signal) => {
    const answer = await ask(`stream?after=${last}`, { signal });
    if (answer.status === 401) return forget();
    if (!answer.ok) throw new Error(answer.status);
    is(true);
    flush();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    // It pings: a line that is silent for longer is dead.
    let clock;
    const alive = () => {
      clearTimeout(clock);
      clock = setTimeout(() => cut.abort(), 40000);
    };
    const dead = () => reader.cancel().catch(() => {});
    signal.addEventListener("abort", dead);
    try {
      for (;;) {
        alive();
        const { value, done } = await reader.read();
        if (done || signal.aborted) return;
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        for (const event of events) {
          const data = event.split("\n").find((it) => it.startsWith("data: "));
          if (data) show(JSON.parse(data.slice(6)));
        }
        acknowledge();
      }
    } finally {
      clearTimeout(clock);
      dead();
    }
  };

  const live = async () => {
    if (living) return;
    living = true;
    let tries = 0;
    while (read("token")) {
      cut = new AbortController();
      const began = Date.now();
      try {
        if (last === 0) {
          const answer = await ask("messages", { signal: cut.signal });
          if (answer.status === 401) { forget(); break; }
          if (!answer.ok) throw new Error(answer.status);
          const { messages, token } = await answer.json();
          if (token) keep("token", token);
          for (const it of messages) show(it);
          acknowledge();
        }
        await listen(cut.signal);
      } catch {
        is(false);
      }
      tries = Date.now() - began > 10000 ? 0 : tries + 1;
      await Promise.race([pause(Math.min(15000, 500 * 2 ** tries) * (0.5 + Math.random() / 2)), new Promise((done) => { wake = done; })]);
    }
    living = false;
  };

  // Opening and closing

  let files;
  const open = () => {
    files ??= import(`${base}files.js`).then((it) => it.default(base, told, log, el, icon, bubble, note, put, read, hello, send)).catch(() => {});
    panel.hidden = false;
    launch.setAttribute("aria-expanded", "true");
    unread = 0;
    if (last > 0) keep("read", last);
    label();
    log.scrollTop = log.scrollHeight;
    log.setAttribute("aria-live", "polite");
    text.focus();
    if (!navigator.onLine) is(false);
  };
  const shut = () => {
    panel.hidden = true;
    launch.setAttribute("aria-expanded", "false");
    log.setAttribute("aria-live", "off");
    launch.focus();
  };
  launch.addEventListener("click", () => isOpen() ? shut() : open());
  close.addEventListener("click", shut);
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing) {
      event.stopPropagation();
      shut();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    write(text.value);
    text.value = "";
    keep("draft", null);
    text.focus();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  text.addEventListener("input", () => keep("draft", text.value || null));

  addEventListener("offline", () => {
    is(false);
    cut?.abort();
  });
  addEventListener("online", () => {
    if (!living) is(true);
    wake();
    flush();
  });
  document.addEventListener("visibilitychange", () => document.hidden || wake());

  const begin = () => {
    const host = el("div", { "data-bugle-webchat": "" });
    const root = host.attachShadow({ mode: "open" });
    // A sheet made here is no inline style: strict pages allow it.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(told.css);
    root.adoptedStyleSheets = [sheet];
    root.append(launch, panel);
    document.body.append(host);
    if (told.greeting) {
      const it = bubble("us", told.greeting);
      it.dataset.seq = -1;
      log.append(it);
    }
    text.value = read("draft") ?? "";
    label();
    const keys = Object.keys(kept).filter((key) => key.startsWith(`${name}wait:`));
    keys.map((key) => JSON.parse(kept.getItem(key))).sort((a, b) => a.n - b.n).forEach(line);
    live();
    flush();
  };
  if (document.body) begin();
  else addEventListener("DOMContentLoaded", begin);
}
