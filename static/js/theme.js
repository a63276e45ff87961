// Light, dark, or as the system has it. Loaded before the first paint, on purpose.
(() => {
  const root = document.documentElement;
  const remembered = () => {
    try { return localStorage.getItem("theme") || ""; } catch { return ""; }
  };
  const show = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  show(remembered());

  document.addEventListener("DOMContentLoaded", () => {
    for (const group of document.querySelectorAll("[data-theme-switch]")) {
      group.hidden = false;
      for (const radio of group.querySelectorAll("input")) radio.checked = radio.value === remembered();
      group.addEventListener("change", (event) => {
        try { localStorage.setItem("theme", event.target.value); } catch { /* private window: this page only */ }
        show(event.target.value);
      });
    }
  });
  // Another tab changed it.
  addEventListener("storage", (event) => { if (event.key === "theme") show(event.newValue); });
})();
