// Keys of the inbox: j and k walk through conversations, and a letter presses whatever has it as `data-key`.
// Without this everything is a link or a button. Also keeps the newest message in sight.
(() => {
  const isTyping = (element) => element.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");

  function walk(by) {
    const all = [...document.querySelectorAll(".conversation")];
    if (all.length === 0) return false;
    const at = all.indexOf(document.activeElement?.closest?.(".conversation"));
    const next = at === -1 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
    all[next].focus();
    return true;
  }

  function press(key) {
    const what = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (!what) return false;
    if (what.matches("input, textarea")) what.focus();
    else what.click();
    return true;
  }

  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (target.id === "body" && target.form) {
      if (key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        target.form.requestSubmit();
      } else if (key === "Escape") {
        target.blur();
      }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return;
    if (isTyping(target) || document.querySelector("dialog[open]")) return;
    const done = key === "j" ? walk(1) : key === "k" ? walk(-1) : key.length === 1 && press(key);
    if (done) event.preventDefault();
  });

  // One more that waits is told of as whoever looks has chosen; the browser is asked when they choose it.
  const KNOWN = "bugle-waits";
  const beep = () => {
    const sound = new AudioContext();
    const [tone, volume] = [sound.createOscillator(), sound.createGain()];
    tone.frequency.value = 880;
    volume.gain.setValueAtTime(0.15, sound.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, sound.currentTime + 0.4);
    tone.connect(volume).connect(sound.destination);
    tone.start();
    tone.stop(sound.currentTime + 0.4);
    tone.onended = () => sound.close();
  };
  const alert = () => {
    const { n, alerts } = document.getElementById("inbox-count")?.dataset ?? {};
    if (n === undefined) return;
    const known = sessionStorage.getItem(KNOWN);
    sessionStorage.setItem(KNOWN, n);
    if (known === null || Number(n) <= Number(known)) return;
    if (alerts === "sound" || alerts === "both") beep();
    if ((alerts === "notice" || alerts === "both") && window.Notification?.permission === "granted") {
      const notice = new Notification("Somebody waits for you", { body: `${n} in the inbox`, tag: KNOWN });
      notice.onclick = () => { window.focus(); location.assign("/inbox?view=for-you"); };
    }
  };
  document.addEventListener("DOMContentLoaded", alert);
  document.addEventListener("htmx:afterSwap", alert);
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest?.("form[data-alerts]");
    const wanted = form && ["notice", "both"].includes(form.elements.alerts.value);
    if (!wanted || window.Notification?.permission !== "default") return;
    event.preventDefault();
    await Notification.requestPermission();
    form.submit();
  });

  // The title says how many wait, as the rail does.
  const title = () => {
    if (!location.pathname.startsWith("/inbox")) return;
    const n = document.querySelector(".rail-count")?.textContent;
    document.title = (n ? `(${n}) ` : "") + document.title.replace(/^\([\d.,+]+\) /, "");
  };
  document.addEventListener("htmx:afterSwap", title);

  const log = () => document.getElementById("thread-log");
  const isAtEnd = (element) => element.scrollHeight - element.scrollTop - element.clientHeight < 60;
  let stays = null;
  document.addEventListener("htmx:beforeSwap", () => {
    const element = log();
    stays = element && !isAtEnd(element) ? element.scrollTop : null;
  });
  const show = () => {
    const element = log();
    if (element) element.scrollTop = stays ?? element.scrollHeight;
  };
  document.addEventListener("htmx:afterSwap", show);
  document.addEventListener("htmx:oobAfterSwap", show);
  document.addEventListener("DOMContentLoaded", show);
})();
