// What somebody has typed or unfolded in a piece with `data-focus` stays so when that is drawn anew, and so does the
// focus: where what had it is gone, it goes to the first thing there that `data-focus` names.

/** The fields that somebody fills in. */
const TYPED_FIELDS = "input:not([type=hidden], [type=password], [type=submit], [type=button]), textarea, select";

/** What a form says that was not taken. */
const WRONG = `[aria-invalid="true"], .note.bad[id$="-error"]`;

/** Whether a field holds something else than it was drawn with, or was drawn with what is not taken. */
function isTyped(field) {
  if (field.matches("[type=file]")) return field.files.length > 0;
  if (field.form?.querySelector(WRONG)) return true;
  if (field.matches("select")) {
    const drawn = [...field.options].findLastIndex((it) => it.defaultSelected);
    return field.selectedIndex !== Math.max(drawn, 0);
  }
  if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
  return field.value !== field.defaultValue;
}

(() => {
  let kept = null;

  const isTicked = (field) => field.matches("[type=checkbox], [type=radio]");
  const actionOf = (field) => (field.form?.getAttribute("action") ?? "").split("?")[0];
  // The same field of the same form, before and after.
  const keyOf = (field) => `${actionOf(field)} ${field.id ? `#${field.id}` : `${field.name}=${isTicked(field) ? field.value : ""}`}`;
  const valueOf = (field) => {
    if (isTicked(field)) return field.checked;
    return field.matches("[type=file]") ? field.files : field.value;
  };
  const fill = (field, value) => {
    if (isTicked(field)) field.checked = value;
    else if (field.matches("[type=file]")) field.files = value;
    else if (!field.matches("select") || [...field.options].some((it) => it.value === value)) field.value = value;
  };

  // Only there a field means the same thing before and after.
  const inside = (piece, what) => [...piece.querySelectorAll(what)].filter((it) => it.closest("[data-focus]"));
  // A fold without an id of its own is known by what holds it and by its place in there.
  const foldOf = (it) => {
    const home = it.closest("[id]");
    return [home.id, home === it ? -1 : [...home.querySelectorAll("details")].indexOf(it)];
  };

  const land = (piece) => {
    const ids = (piece?.closest("[data-focus]")?.dataset.focus ?? "").split(" ");
    ids.map((id) => id && document.getElementById(id)).find((it) => it && !it.disabled)?.focus({ preventScroll: true });
  };
  document.addEventListener("bugle:land", (event) => land(event.target));

  // What was handed in and taken is no longer merely typed, until somebody goes on typing.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { requestConfig, xhr } = event.detail;
    const form = requestConfig.elt.matches("form, button:not([type=button])") ? requestConfig.elt.closest("form") : null;
    if (form && requestConfig.verb !== "get" && xhr.status < 300) form.dataset.saved = "";
  });
  document.addEventListener("input", (event) => delete event.target.form?.dataset.saved);

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target } = event.detail;
    if (!target?.querySelectorAll) return;
    const typed = inside(target, TYPED_FIELDS).filter((it) => isTyped(it) && !it.form?.hasAttribute("data-saved"));
    const seen = new Set(typed.map((it) => it.form?.elements.namedItem("seen")).filter(Boolean));
    const active = document.activeElement;
    const had = target.contains(active);
    kept = {
      typed: [...typed, ...seen].map((it) => [keyOf(it), valueOf(it)]),
      unfolded: inside(target, "details[open]").map(foldOf),
      // Of the pieces around what has the focus, inmost first: some may be gone.
      homes: had ? homes(active) : [],
      active: had && active.matches(TYPED_FIELDS) ? [keyOf(active), active.selectionStart, active.selectionEnd] : null,
    };
  });

  const homes = (element) => {
    const ids = [];
    for (let it = element.closest("[data-focus]"); it; it = it.parentElement?.closest("[data-focus]")) ids.push(it.id);
    return ids;
  };

  let filled = [];
  document.addEventListener("htmx:afterSwap", () => {
    if (!kept) return;
    const { typed, unfolded, homes: around, active } = kept;
    kept = null;
    for (const [id, n] of unfolded) {
      const home = document.getElementById(id);
      const details = n === -1 ? home : home?.querySelectorAll("details")[n];
      if (details?.matches("details")) details.open = true;
    }
    const fields = new Map(inside(document, `${TYPED_FIELDS}, input[name=seen]`).map((it) => [keyOf(it), it]));
    for (const [key, value] of typed) {
      const field = fields.get(key);
      if (!field) continue;
      fill(field, value);
      filled.push(field);
    }
    const again = active && fields.get(active[0]);
    if (again) {
      if (document.activeElement !== again) again.focus({ preventScroll: true });
      // Only where there is a caret.
      if (active[1] !== null) again.setSelectionRange?.(active[1], active[2]);
    }
    if (document.activeElement !== document.body || around.length === 0) return;
    land(around.map((id) => document.getElementById(id)).find(Boolean));
  });

  // What follows from a field is asked for again; a form that is handed in by a change is not.
  document.addEventListener("htmx:afterSettle", () => {
    for (const field of filled.splice(0)) {
      if (!field.isConnected || field.form?.hasAttribute("hx-trigger")) continue;
      // htmx has taken the value for the one it was drawn with, and would not see that it is another.
      if (field.matches("textarea, input") && !isTicked(field) && !field.matches("[type=file]")) {
        const { value, selectionStart, selectionEnd } = field;
        field.value = "";
        field.dispatchEvent(new Event("input", { bubbles: true }));
        field.value = value;
        if (selectionStart !== null) field.setSelectionRange?.(selectionStart, selectionEnd);
      }
      for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));
    }
  });
})();
