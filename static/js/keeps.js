// What somebody has typed or unfolded in a piece with `data-focus` stays so when that is drawn anew, and so does the
// focus: where what had it is gone, it goes to the first thing there that `data-focus` names.
(() => {
  const FIELDS = "input[id]:not([type=hidden], [type=file], [type=password]), textarea[id], select[id]";
  let kept = null;

  const isTyped = (field) => {
    if (field.matches("select")) return [...field.options].some((it) => it.selected !== it.defaultSelected);
    if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
    return field.value !== field.defaultValue;
  };
  // Only there an id means the same thing before and after.
  const inside = (piece, what) => [...piece.querySelectorAll(what)].filter((it) => it.closest("[data-focus]"));
  // A summary has no id of its own: it is known by what holds it and by its place in there.
  const unfolded = (piece) => inside(piece, "details[open]").map((it) => {
    const home = it.closest("[id]");
    return [home.id, [...home.querySelectorAll("details")].indexOf(it)];
  });

  const land = (piece) => {
    const ids = (piece?.closest("[data-focus]")?.dataset.focus ?? "").split(" ");
    ids.map((id) => id && document.getElementById(id)).find((it) => it && !it.disabled)?.focus({ preventScroll: true });
  };
  document.addEventListener("bugle:land", (event) => land(event.target));

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, requestConfig, xhr } = event.detail;
    if (!target?.querySelectorAll) return;
    // What was handed in and taken is no longer merely typed.
    const taken = requestConfig.verb !== "get" && xhr.status < 300 ? requestConfig.elt.closest("form") : null;
    const typed = inside(target, FIELDS).filter((it) => isTyped(it) && !(taken && it.form === taken));
    const active = document.activeElement;
    kept = {
      typed: typed.map((it) => [it.id, it.matches("[type=checkbox], [type=radio]") ? it.checked : it.value]),
      unfolded: unfolded(target),
      // Of the pieces around what has the focus, inmost first: some may be gone.
      homes: target.contains(active) ? homes(active) : [],
    };
  });

  const homes = (element) => {
    const ids = [];
    for (let it = element.closest("[data-focus]"); it; it = it.parentElement?.closest("[data-focus]")) ids.push(it.id);
    return ids;
  };

  document.addEventListener("htmx:afterSwap", () => {
    if (!kept) return;
    const { typed, unfolded: open, homes: around } = kept;
    kept = null;
    for (const [id, value] of typed) {
      const field = document.getElementById(id);
      if (!field) continue;
      if (typeof value === "boolean") field.checked = value;
      else field.value = value;
    }
    for (const [id, n] of open) {
      const details = document.getElementById(id)?.querySelectorAll("details")[n];
      if (details) details.open = true;
    }
    if (document.activeElement !== document.body || around.length === 0) return;
    land(around.map((id) => document.getElementById(id)).find(Boolean));
  });
})();
