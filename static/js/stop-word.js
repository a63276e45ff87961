// In a form with `data-typed-word` the submit button works once the word of its field was typed.
// The server checks the word as well; this only keeps the button honest.
(() => {
  const check = (form) => {
    const field = form.querySelector("[data-word]");
    for (const button of form.querySelectorAll("button:not([hidden], [data-close])")) {
      button.disabled = field.value.trim() !== field.dataset.word;
    }
  };
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-typed-word]");
    if (form) check(form);
  });
  document.addEventListener("htmx:load", (event) => {
    const found = event.detail.elt.querySelectorAll("form[data-typed-word]");
    for (const form of event.detail.elt.matches("form[data-typed-word]") ? [event.detail.elt] : found) check(form);
  });
})();
