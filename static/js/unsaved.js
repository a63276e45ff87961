// Says which forms with `data-part` hold something typed that is not saved, and asks before the page is left, or a form
// with `data-launch` is handed in, without it.
(() => {
  let leaves = false;
  let agreed = false;

  const unsaved = () => [...document.querySelectorAll("form[data-part]:not([data-saved])")]
    .filter((form) => [...form.elements].some((it) => it.matches(TYPED_FIELDS) && isTyped(it)));

  const link = (form) => {
    const there = document.createElement("a");
    there.href = `#${form.id}`;
    there.textContent = form.dataset.part;
    return there;
  };
  const listed = (forms) => forms.flatMap((form, i) => (i === 0 ? [link(form)] : [", ", link(form)]));

  let said = "";
  const say = () => {
    const place = document.getElementById("unsaved");
    if (!place) return;
    const forms = unsaved();
    const words = forms.map((form) => form.dataset.part).join(", ");
    if (words === said && (words === "") === place.hidden) return;
    said = words;
    place.hidden = forms.length === 0;
    place.replaceChildren(...(forms.length === 0 ? [] : ["Not saved: ", ...listed(forms)]));
  };
  for (const type of ["input", "change", "htmx:afterSettle", "DOMContentLoaded"]) document.addEventListener(type, say);

  const ask = (form, forms) => {
    const dialog = document.getElementById("dialog");
    const title = document.createElement("h2");
    title.id = "dialog-title";
    title.textContent = "Launch without what is not saved?";
    const what = document.createElement("p");
    what.append("Not saved: ", ...listed(forms), ". Launched now, it goes out as the review shows it, without that.");
    for (const there of what.querySelectorAll("a")) there.addEventListener("click", () => dialog.close());
    const button = (words, kind) => {
      const it = document.createElement("button");
      it.type = "button";
      it.className = `button ${kind}`;
      it.textContent = words;
      return it;
    };
    const back = button("Back to the draft", "");
    back.dataset.close = "";
    const go = button("Launch without it", "danger");
    go.addEventListener("click", () => {
      agreed = true;
      dialog.close();
      form.requestSubmit();
    });
    const toolbar = document.createElement("div");
    toolbar.className = "toolbar";
    toolbar.append(back, go);
    dialog.replaceChildren(title, what, toolbar);
    dialog.showModal();
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.hasAttribute("data-launch")) {
      const forms = unsaved();
      if (forms.length > 0 && !agreed) {
        event.preventDefault();
        event.stopImmediatePropagation();
        return ask(form, forms);
      }
      leaves = true;
    }
    if (form.hasAttribute("data-leaves")) leaves = true;
  }, true);
  // It was refused: nothing was left after all.
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.xhr.getResponseHeader("HX-Redirect")) leaves = agreed = false;
  });

  addEventListener("beforeunload", (event) => {
    if (!leaves && unsaved().length > 0) event.preventDefault();
  });
})();
