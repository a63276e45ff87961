// When what was handed in comes back with something wrong, the first field that is wrong comes into sight and has the
// focus. Without this a list at the top of the page leads there.
(() => {
  const lead = (piece) => {
    for (const wrong of piece.querySelectorAll(WRONG)) {
      for (let fold = wrong.closest("details:not([open])"); fold; fold = fold.closest("details:not([open])")) fold.open = true;
      if (!wrong.checkVisibility()) continue;
      const field = wrong.matches("input, select, textarea, button") ? wrong : wrong.querySelector("input, select, textarea") ?? wrong;
      if (field === wrong && wrong.matches(".note")) wrong.tabIndex = -1;
      field.focus({ preventScroll: true });
      wrong.scrollIntoView({ block: "center" });
      return true;
    }
    return false;
  };

  const main = () => document.querySelector("main");
  document.addEventListener("DOMContentLoaded", () => lead(main()));
  // Only after somebody has handed a form in: what is asked while they type must not take the focus away.
  document.addEventListener("htmx:afterSettle", (event) => {
    const { requestConfig } = event.detail;
    if (requestConfig?.triggeringEvent?.type !== "submit" || requestConfig.verb === "get") return;
    const action = requestConfig.elt.closest("form")?.getAttribute("action");
    const form = action && document.querySelector(`form[action="${CSS.escape(action)}"]`);
    if (!(form && lead(form))) lead(event.detail.elt.closest("main, dialog") ?? main());
  });
})();
