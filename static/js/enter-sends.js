// In a field with `data-enter-sends` Enter sends its form, and Shift and Enter begin a new line.
// Without this the button sends.
(() => {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    const field = event.target.closest?.("textarea[data-enter-sends]");
    if (!field?.form) return;
    event.preventDefault();
    field.form.requestSubmit();
  });
})();
