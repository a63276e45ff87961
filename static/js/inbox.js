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
